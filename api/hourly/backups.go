package hourly

import (
	"net/http"
	"regexp"
	"time"

	"berth"
	"berth/api"
	"berth/fleet"
	"berth/ops"
)

type takeBackup struct {
	ServerID string `json:"serverId" minLength:"1" maxLength:"64"`
}

var takeForm = ops.NewForm[takeBackup]()

// backup is a backup as the document has it.
type backup struct {
	ID        berth.ID  `json:"id"`
	Label     string    `json:"label" doc:"The server's, when the backup was taken."`
	Status    string    `json:"status" enum:"PENDING,AVAILABLE,ERROR,EXPIRED"`
	Region    string    `json:"region"`
	Plan      string    `json:"plan"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

type oneBackup struct {
	Backup backup `json:"backup"`
}

type backups struct {
	Backups []backup `json:"backups"`
}

// backupStatuses are the document's words for a backup's states.
var backupStatuses = map[fleet.SnapshotStatus]string{
	fleet.SnapshotPending: "PENDING", fleet.SnapshotAvailable: "AVAILABLE", fleet.SnapshotFailed: "ERROR",
	fleet.SnapshotDeleted: "EXPIRED", fleet.SnapshotExpired: "EXPIRED",
}

func backupRoutes() []api.ContractRoute {
	foreign := []int{http.StatusNotFound, http.StatusConflict}
	return []api.ContractRoute{
		{Method: "GET", Path: "/backups", Status: http.StatusOK, Summary: "List backups, those that ended in the last 24 hours too", Answer: backups{}, Serve: serveBackups},
		{
			Method: "POST", Path: "/backups", Status: http.StatusAccepted, Summary: "Back a server up for 7 days",
			Body: takeBackup{}, Answer: oneBackup{}, Errors: foreign, Serve: serveTake,
		},
		{
			Method: "POST", Path: "/backups/{id}/restore", Status: http.StatusAccepted, Summary: "Restore a backup onto a new server of its plan, in its region",
			Answer: oneServer{}, Errors: append(foreign, http.StatusServiceUnavailable), Serve: serveRestore,
		},
		{Method: "DELETE", Path: "/backups/{id}", Status: http.StatusAccepted, Summary: "Delete a backup", Answer: done{}, Errors: foreign, Serve: serveDrop},
	}
}

func viewBackup(v ops.SnapshotView) backup {
	return backup{v.ID, v.Name, backupStatuses[v.Status], v.Region, v.Size, v.CreatedAt, v.ExpiresAt}
}

func serveBackups(x *api.Exchange) (any, error) {
	found, err := api.All(x, "list_snapshots", map[string]any{"recent": true, "class": string(fleet.Backup)}, most, ops.SnapshotsOut.Page)
	out := backups{make([]backup, len(found))}
	for i, v := range found {
		out.Backups[i] = viewBackup(v)
	}
	return out, err
}

// serveTake names the backup after its server, which may be gone when it is
// restored.
func serveTake(x *api.Exchange) (any, error) {
	in, err := api.Body(x, takeForm)
	if err != nil {
		return nil, err
	}
	of, err := api.Run[ops.ServerView](x, "get_server", map[string]any{"server_id": in.ServerID})
	if err != nil {
		return nil, err
	}
	out, err := api.Run[ops.SnapshotOut](x, "snapshot", map[string]any{
		"server_id": in.ServerID, "name": of.Label, "class": string(fleet.Backup),
	})
	return oneBackup{viewBackup(out.SnapshotView)}, err
}

// find is the backup that the path names. A snapshot of another kind is none.
func find(x *api.Exchange) (ops.SnapshotView, error) {
	v, err := api.Run[ops.SnapshotView](x, "get_snapshot", map[string]any{"snapshot_id": x.Request.PathValue("id")})
	if err == nil && v.Class != fleet.Backup {
		err = berth.Errorf(berth.NotFound, "%s is no backup", v.ID).Hinted("list yours by GET /backups")
	}
	return v, err
}

func serveRestore(x *api.Exchange) (any, error) {
	v, err := find(x)
	if err != nil {
		return nil, err
	}
	args := order(labelOf(v.Name), v.Size, v.Region)
	args["snapshot_id"] = string(v.ID)
	out, err := api.Run[ops.CreateServerOut](x, "create_server", args)
	return oneServer{viewServer(out.ServerView)}, err
}

// unfit is what stands in a backup's name and can't in a label.
var unfit = regexp.MustCompile(`[^a-zA-Z0-9._-]+`)

// labelOf is a label for a server restored from a backup of some name.
func labelOf(name string) string {
	label := unfit.ReplaceAllString(name, "-")
	return label[:min(len(label), 64)]
}

func serveDrop(x *api.Exchange) (any, error) {
	v, err := find(x)
	if err != nil {
		return nil, err
	}
	_, err = api.Run[ops.DeleteSnapshotOut](x, "delete_snapshot", map[string]any{"snapshot_id": string(v.ID)})
	return done{true}, err
}
