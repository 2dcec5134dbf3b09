package sandbox

import (
	"net/http"
	"strings"
)

// route is one operation of the API.
type route struct {
	pattern string // as http.ServeMux has it
	op      string // the operation's id in DigitalOcean's OpenAPI description
	handle  func(*Cloud, *http.Request) (reply, error)
}

// routeTable is all that the sandbox offers, a resource after the other.
func routeTable() []route {
	return []route{
		{"GET /v2/account", "account_get", (*Cloud).getAccount},

		{"GET /v2/customers/my/balance", "balance_get", (*Cloud).getBalance},
		{"GET /v2/customers/my/billing_history", "billingHistory_list", (*Cloud).listBillingHistory},
		{"GET /v2/customers/my/invoices", "invoices_list", (*Cloud).listInvoices},
		{"GET /v2/customers/my/invoices/{invoice}", "invoices_get_byUUID", (*Cloud).listInvoiceItems},
		{"GET /v2/customers/my/invoices/{invoice}/summary", "invoices_get_summaryByUUID", (*Cloud).getInvoiceSummary},

		{"GET /v2/regions", "regions_list", (*Cloud).listRegions},
		{"GET /v2/sizes", "sizes_list", (*Cloud).listSizes},

		{"GET /v2/images", "images_list", (*Cloud).listImages},
		{"POST /v2/images", "images_create_custom", (*Cloud).unoffered},
		{"GET /v2/images/{image}", "images_get", (*Cloud).getImage},
		{"PUT /v2/images/{image}", "images_update", (*Cloud).updateImage},
		{"DELETE /v2/images/{image}", "images_delete", (*Cloud).deleteImage},
		{"POST /v2/images/{image}/actions", "imageActions_post", (*Cloud).actOnImage},
		{"GET /v2/images/{image}/actions", "imageActions_list", (*Cloud).listImageActions},
		{"GET /v2/images/{image}/actions/{action}", "imageActions_get", (*Cloud).getImageAction},

		{"POST /v2/droplets", "droplets_create", (*Cloud).createDroplets},
		{"GET /v2/droplets", "droplets_list", (*Cloud).listDroplets},
		{"DELETE /v2/droplets", "droplets_destroy_byTag", (*Cloud).deleteDropletsByTag},
		{"GET /v2/droplets/{droplet}", "droplets_get", (*Cloud).getDroplet},
		{"DELETE /v2/droplets/{droplet}", "droplets_destroy", (*Cloud).deleteDroplet},
		{"GET /v2/droplets/{droplet}/destroy_with_associated_resources", "droplets_list_associatedResources", (*Cloud).listAssociated},
		{"DELETE /v2/droplets/{droplet}/destroy_with_associated_resources/selective", "droplets_destroy_withAssociatedResourcesSelective", (*Cloud).deleteWithSome},
		{"DELETE /v2/droplets/{droplet}/destroy_with_associated_resources/dangerous", "droplets_destroy_withAssociatedResourcesDangerous", (*Cloud).deleteWithAll},
		{"GET /v2/droplets/{droplet}/destroy_with_associated_resources/status", "droplets_get_DestroyAssociatedResourcesStatus", (*Cloud).getPurge},
		{"POST /v2/droplets/{droplet}/destroy_with_associated_resources/retry", "droplets_destroy_retryWithAssociatedResources", (*Cloud).retryPurge},
		{"GET /v2/droplets/{droplet}/snapshots", "droplets_list_snapshots", (*Cloud).listDropletSnapshots},

		{"GET /v2/droplets/{droplet}/backups", "droplets_list_backups", (*Cloud).listBackups},
		{"GET /v2/droplets/{droplet}/backups/policy", "droplets_get_backup_policy", (*Cloud).getBackupPolicy},
		{"GET /v2/droplets/backups/policies", "droplets_list_backup_policies", (*Cloud).listBackupPolicies},
		{"GET /v2/droplets/backups/supported_policies", "droplets_list_supported_backup_policies", (*Cloud).listSupportedPolicies},
		{"GET /v2/droplets/{droplet}/kernels", "droplets_list_kernels", (*Cloud).listKernels},
		{"GET /v2/droplets/{droplet}/neighbors", "droplets_list_neighbors", (*Cloud).listNeighbors},
		{"GET /v2/droplets/{droplet}/firewalls", "droplets_list_firewalls", (*Cloud).listDropletFirewalls},

		{"POST /v2/droplets/actions", "dropletActions_post_byTag", (*Cloud).actByTag},
		{"POST /v2/droplets/{droplet}/actions", "dropletActions_post", (*Cloud).act},
		{"GET /v2/droplets/{droplet}/actions", "dropletActions_list", (*Cloud).listDropletActions},
		{"GET /v2/droplets/{droplet}/actions/{action}", "dropletActions_get", (*Cloud).getDropletAction},

		{"GET /v2/actions", "actions_list", (*Cloud).listActions},
		{"GET /v2/actions/{action}", "actions_get", (*Cloud).getAction},

		{"GET /v2/account/keys", "sshKeys_list", (*Cloud).listKeys},
		{"POST /v2/account/keys", "sshKeys_create", (*Cloud).createKey},
		{"GET /v2/account/keys/{key}", "sshKeys_get", (*Cloud).getKey},
		{"PUT /v2/account/keys/{key}", "sshKeys_update", (*Cloud).updateKey},
		{"DELETE /v2/account/keys/{key}", "sshKeys_delete", (*Cloud).deleteKey},

		{"GET /v2/snapshots", "snapshots_list", (*Cloud).listSnapshots},
		{"GET /v2/snapshots/{snapshot}", "snapshots_get", (*Cloud).getSnapshot},
		{"DELETE /v2/snapshots/{snapshot}", "snapshots_delete", (*Cloud).deleteSnapshot},

		{"POST /v2/tags", "tags_create", (*Cloud).createTag},
		{"GET /v2/tags", "tags_list", (*Cloud).listTags},
		{"GET /v2/tags/{tag}", "tags_get", (*Cloud).getTag},
		{"DELETE /v2/tags/{tag}", "tags_delete", (*Cloud).deleteTag},
		{"POST /v2/tags/{tag}/resources", "tags_assign_resources", (*Cloud).tagResources},
		{"DELETE /v2/tags/{tag}/resources", "tags_unassign_resources", (*Cloud).untagResources},

		{"GET /v2/vpcs", "vpcs_list", (*Cloud).listVPCs},
		{"POST /v2/vpcs", "vpcs_create", (*Cloud).createVPC},
		{"GET /v2/vpcs/{vpc}", "vpcs_get", (*Cloud).getVPC},
		{"PUT /v2/vpcs/{vpc}", "vpcs_update", (*Cloud).updateVPC},
		{"PATCH /v2/vpcs/{vpc}", "vpcs_patch", (*Cloud).updateVPC},
		{"DELETE /v2/vpcs/{vpc}", "vpcs_delete", (*Cloud).deleteVPC},
		{"GET /v2/vpcs/{vpc}/members", "vpcs_list_members", (*Cloud).listVPCMembers},

		{"GET /v2/firewalls", "firewalls_list", (*Cloud).listFirewalls},
		{"POST /v2/firewalls", "firewalls_create", (*Cloud).createFirewall},
		{"GET /v2/firewalls/{firewall}", "firewalls_get", (*Cloud).getFirewall},
		{"PUT /v2/firewalls/{firewall}", "firewalls_update", (*Cloud).updateFirewall},
		{"DELETE /v2/firewalls/{firewall}", "firewalls_delete", (*Cloud).deleteFirewall},
		{"POST /v2/firewalls/{firewall}/droplets", "firewalls_assign_droplets", (*Cloud).addFirewallDroplets},
		{"DELETE /v2/firewalls/{firewall}/droplets", "firewalls_delete_droplets", (*Cloud).removeFirewallDroplets},
		{"POST /v2/firewalls/{firewall}/tags", "firewalls_add_tags", (*Cloud).addFirewallTags},
		{"DELETE /v2/firewalls/{firewall}/tags", "firewalls_delete_tags", (*Cloud).removeFirewallTags},
		{"POST /v2/firewalls/{firewall}/rules", "firewalls_add_rules", (*Cloud).addFirewallRules},
		{"DELETE /v2/firewalls/{firewall}/rules", "firewalls_delete_rules", (*Cloud).removeFirewallRules},

		{"GET /v2/reserved_ips", "reservedIPs_list", (*Cloud).listReserved},
		{"POST /v2/reserved_ips", "reservedIPs_create", (*Cloud).createReserved},
		{"GET /v2/reserved_ips/{ip}", "reservedIPs_get", (*Cloud).getReserved},
		{"DELETE /v2/reserved_ips/{ip}", "reservedIPs_delete", (*Cloud).deleteReserved},
		{"POST /v2/reserved_ips/{ip}/actions", "reservedIPsActions_post", (*Cloud).actOnReserved},
		{"GET /v2/reserved_ips/{ip}/actions", "reservedIPsActions_list", (*Cloud).listReservedActions},
		{"GET /v2/reserved_ips/{ip}/actions/{action}", "reservedIPsActions_get", (*Cloud).getReservedAction},

		{"GET /v2/volumes", "volumes_list", (*Cloud).listVolumes},
		{"POST /v2/volumes", "volumes_create", (*Cloud).createVolume},
		{"DELETE /v2/volumes", "volumes_delete_byName", (*Cloud).deleteVolumeByName},
		{"GET /v2/volumes/{volume}", "volumes_get", (*Cloud).getVolume},
		{"DELETE /v2/volumes/{volume}", "volumes_delete", (*Cloud).deleteVolume},
		{"POST /v2/volumes/actions", "volumeActions_post", (*Cloud).actOnVolumeByName},
		{"POST /v2/volumes/{volume}/actions", "volumeActions_post_byId", (*Cloud).actOnVolume},
		{"GET /v2/volumes/{volume}/actions", "volumeActions_list", (*Cloud).listVolumeActions},
		{"GET /v2/volumes/{volume}/actions/{action}", "volumeActions_get", (*Cloud).getVolumeAction},
		{"GET /v2/volumes/{volume}/snapshots", "volumeSnapshots_list", (*Cloud).listVolumeSnapshots},
		{"POST /v2/volumes/{volume}/snapshots", "volumeSnapshots_create", (*Cloud).createVolumeSnapshot},
		{"GET " + volumeSnapshots + "{snapshot}", "volumeSnapshots_get_byId", (*Cloud).getVolumeSnapshot},
		{"DELETE " + volumeSnapshots + "{snapshot}", "volumeSnapshots_delete_byId", (*Cloud).deleteVolumeSnapshot},

		{"GET /v2/projects", "projects_list", (*Cloud).listProjects},
		{"POST /v2/projects", "projects_create", (*Cloud).createProject},
		{"GET /v2/projects/default", "projects_get_default", (*Cloud).getProject},
		{"PUT /v2/projects/default", "projects_update_default", (*Cloud).updateProject},
		{"PATCH /v2/projects/default", "projects_patch_default", (*Cloud).patchProject},
		{"GET /v2/projects/default/resources", "projects_list_resources_default", (*Cloud).listProjectResources},
		{"POST /v2/projects/default/resources", "projects_assign_resources_default", (*Cloud).assignResources},
		{"GET /v2/projects/{project}", "projects_get", (*Cloud).getProject},
		{"PUT /v2/projects/{project}", "projects_update", (*Cloud).updateProject},
		{"PATCH /v2/projects/{project}", "projects_patch", (*Cloud).patchProject},
		{"DELETE /v2/projects/{project}", "projects_delete", (*Cloud).deleteProject},
		{"GET /v2/projects/{project}/resources", "projects_list_resources", (*Cloud).listProjectResources},
		{"POST /v2/projects/{project}/resources", "projects_assign_resources", (*Cloud).assignResources},

		{"/", "", func(*Cloud, *http.Request) (reply, error) { return reply{}, notFound() }},
	}
}

// volumeSnapshots begins the paths that a mux of their own serves: beside
// /v2/volumes/{volume}/actions one mux can't tell them apart.
const volumeSnapshots = "/v2/volumes/snapshots/"

// routes are two muxes behind one handler, which first looks at what no mux has.
func (c *Cloud) routes() http.Handler {
	mux, snapshots := http.NewServeMux(), http.NewServeMux()
	other := func(answer func(*Cloud, *http.Request) (reply, error)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(route{handle: answer}, w, r) })
	}
	for _, rt := range routeTable() {
		serve := func(w http.ResponseWriter, r *http.Request) { c.serve(rt, w, r) }
		if rt.op == "" || strings.Contains(rt.pattern, volumeSnapshots) {
			snapshots.HandleFunc(rt.pattern, serve)
		}
		if !strings.Contains(rt.pattern, volumeSnapshots) {
			mux.HandleFunc(rt.pattern, serve)
		}
	}
	if c.control {
		c.controlRoutes(mux)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := mux
		if strings.HasPrefix(r.URL.Path, volumeSnapshots) {
			in = snapshots
		}
		if lacks(r.URL.Path) {
			other((*Cloud).unoffered).ServeHTTP(w, r)
		} else if allowed := methods(in, r); allowed != "" {
			w.Header().Set("Allow", allowed)
			other((*Cloud).wrongMethod).ServeHTTP(w, r)
		} else {
			in.ServeHTTP(w, r)
		}
	})
}
