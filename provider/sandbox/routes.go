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

		{"GET /v2/regions", "regions_list", (*Cloud).listRegions},
		{"GET /v2/sizes", "sizes_list", (*Cloud).listSizes},

		{"GET /v2/images", "images_list", (*Cloud).listImages},
		{"GET /v2/images/{image}", "images_get", (*Cloud).getImage},
		{"PUT /v2/images/{image}", "images_update", (*Cloud).updateImage},
		{"DELETE /v2/images/{image}", "images_delete", (*Cloud).deleteImage},

		{"POST /v2/droplets", "droplets_create", (*Cloud).createDroplets},
		{"GET /v2/droplets", "droplets_list", (*Cloud).listDroplets},
		{"DELETE /v2/droplets", "droplets_destroy_byTag", (*Cloud).deleteDropletsByTag},
		{"GET /v2/droplets/{droplet}", "droplets_get", (*Cloud).getDroplet},
		{"DELETE /v2/droplets/{droplet}", "droplets_destroy", (*Cloud).deleteDroplet},
		{"GET /v2/droplets/{droplet}/snapshots", "droplets_list_snapshots", (*Cloud).listDropletSnapshots},

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

		{"/", "", (*Cloud).elsewhere},
	}
}

// lacking are the first words of the paths that DigitalOcean answers and the
// sandbox, in whole or in part, does not.
var lacking = map[string]bool{
	"1-clicks": true, "add-ons": true, "apps": true, "account": true, "actions": true, "billing": true,
	"byoip_prefixes": true, "cdn": true, "certificates": true, "customers": true, "databases": true,
	"domains": true, "droplets": true, "firewalls": true, "floating_ips": true, "functions": true,
	"gen-ai": true, "images": true, "kubernetes": true, "load_balancers": true, "monitoring": true,
	"nfs": true, "partner_network_connect": true, "projects": true, "registries": true, "registry": true,
	"reports": true, "reserved_ips": true, "reserved_ipv6": true, "security": true, "snapshots": true,
	"spaces": true, "tags": true, "uptime": true, "volumes": true, "vpc_nat_gateways": true,
	"vpc_peerings": true, "vpcs": true,
}

// elsewhere answers what no other route does.
func (c *Cloud) elsewhere(r *http.Request) (reply, error) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	first, _, _ := strings.Cut(path, "/")
	if ok && lacking[first] {
		return reply{}, notOffered(r.Method + " " + r.URL.Path)
	}
	return reply{}, notFound()
}

func (c *Cloud) routes() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routeTable() {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { c.serve(rt, w, r) })
	}
	return mux
}
