package ops

import "berth/fleet"

// BootIn says what a server is to do when it boots.
type BootIn struct {
	UserData     string        `json:"user_data,omitempty" maxLength:"65536" doc:"Run by cloud-init as root on first boot. The provider stores it: no secrets."`
	CloudInit    *CloudInitIn  `json:"cloud_init,omitempty" doc:"Instead of user_data."`
	PortForwards []PortForward `json:"port_forwards,omitempty" maxItems:"20" doc:"External ports of its address that lead to internal ones."`
}

// CloudInitIn is what is to be done on a first boot, for callers who write no
// cloud-config themselves.
type CloudInitIn struct {
	RunCmd         []string `json:"runcmd,omitempty" maxItems:"100" doc:"Shell commands."`
	Packages       []string `json:"packages,omitempty" maxItems:"100"`
	PackageUpdate  bool     `json:"package_update,omitempty"`
	PackageUpgrade bool     `json:"package_upgrade,omitempty"`
}

// PortForward leads connections to a port of a server's address to another of its
// ports.
type PortForward struct {
	Internal int `json:"internal_port" minimum:"1" maximum:"65535"`
	External int `json:"external_port" minimum:"20000" maximum:"20099"`
}

// fill writes what is to be done into an order. User data and a cloud_init object
// exclude each other, which planning says.
func (in BootIn) fill(o *fleet.CreateOrder) {
	o.UserData = in.UserData
	if c := in.CloudInit; c != nil {
		o.CloudInit = fleet.CloudInit{RunCmd: c.RunCmd, Packages: c.Packages, PackageUpdate: c.PackageUpdate, PackageUpgrade: c.PackageUpgrade}
	}
	for _, f := range in.PortForwards {
		o.Forwards = append(o.Forwards, fleet.Forward{External: f.External, Internal: f.Internal})
	}
}

// viewForwards are a server's forwards as its owner sees them.
func viewForwards(list []fleet.Forward) (out []PortForward) {
	for _, f := range list {
		out = append(out, PortForward{Internal: f.Internal, External: f.External})
	}
	return out
}
