package guest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// metadataPort is where PID 1 serves what the droplet finds at port 80 of the metadata address. No ordinary user may
	// take its place.
	metadataPort    = 925
	metadataTimeout = 10 * time.Second
)

var metadataAddr = net.IPv4(169, 254, 169, 254)

// Metadata is what a droplet can ask about itself, besides its configuration.
type Metadata struct {
	DropletID int64        `json:"droplet_id"`
	Region    string       `json:"region"`
	Hostname  string       `json:"hostname"`
	Tags      []string     `json:"tags,omitempty"`
	Public    netip.Prefix `json:"public,omitzero"`
	Private   netip.Prefix `json:"private,omitzero"`
	Reserved  netip.Addr   `json:"reserved,omitzero"` // the reserved IP address that leads here
}

// prepareMetadata makes the metadata address lead to PID 1. That there is no such service here keeps no droplet from
// booting: the host is told about it.
func prepareMetadata() error {
	if err := addAddress("lo:metadata", metadataAddr); err != nil {
		return err
	}
	return redirect(metadataAddr, 80, metadataPort)
}

// serveMetadata answers until the droplet ends.
func serveMetadata(c Config, log *slog.Logger) error {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(metadataPort)))
	if err != nil {
		return fmt.Errorf("metadata service: %w", err)
	}
	server := &http.Server{
		Handler: metadataHandler(c), ReadHeaderTimeout: metadataTimeout, WriteTimeout: metadataTimeout,
		IdleTimeout: metadataTimeout, MaxHeaderBytes: 16 << 10,
	}
	go func() {
		if err := server.Serve(l); err != nil {
			log.Error("metadata service", "error", err)
		}
	}()
	return nil
}

// metadataHandler serves DigitalOcean's metadata API, version 1: an index for each folder, a text for each value, and
// everything at once as JSON (docs.digitalocean.com/reference/api/metadata).
func metadataHandler(c Config) http.Handler {
	root := metadataTree(c)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metadata/v1.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(metadataDocument(c)) // an error is that of the connection
	})
	mux.HandleFunc("GET /metadata/v1", func(w http.ResponseWriter, _ *http.Request) { root.serve(w) })
	mux.HandleFunc("GET /metadata/v1/{path...}", func(w http.ResponseWriter, r *http.Request) {
		found, isIndex := root.find(r.PathValue("path"))
		switch {
		case found == nil:
			http.Error(w, "not found", http.StatusNotFound)
		case isIndex && !strings.HasSuffix(r.URL.Path, "/"):
			w.Header().Set("Location", "/metadata/v1/"+strings.Trim(r.PathValue("path"), "/")+"/")
			w.WriteHeader(http.StatusMovedPermanently)
		default:
			found.serve(w)
		}
	})
	return mux
}

// node is a value of the metadata, or an index of others.
type node struct {
	name  string
	text  string
	index []node // nil for a value
}

func value(name, text string) node           { return node{name: name, text: text} }
func folder(name string, index ...node) node { return node{name: name, index: index} }

// find follows a path of names.
func (n *node) find(path string) (found *node, isIndex bool) {
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue
		}
		i := slices.IndexFunc(n.index, func(e node) bool { return e.name == name })
		if i < 0 {
			return nil, false
		}
		n = &n.index[i]
	}
	return n, n.index != nil
}

func (n *node) serve(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := n.text
	if n.index != nil {
		var lines []string
		for _, e := range n.index {
			if e.index != nil {
				e.name += "/"
			}
			lines = append(lines, e.name)
		}
		text = strings.Join(lines, "\n")
	}
	_, _ = w.Write([]byte(text)) // an error is that of the connection
}

func metadataTree(c Config) node {
	m := c.Metadata
	active := folder("ipv4", value("active", strconv.FormatBool(m.Reserved.IsValid())))
	if m.Reserved.IsValid() {
		active.index = append([]node{value("ip_address", m.Reserved.String())}, active.index...)
	}
	public, private := []node{}, []node{}
	if m.Public.IsValid() {
		public = append(public, folder("0", ipv4Folder(m.Public), value("type", "public"), value("mac", macOf(m.Public))))
	}
	if m.Private.IsValid() {
		private = append(private, folder("0", ipv4Folder(m.Private), value("type", "private"), value("mac", macOf(m.Private))))
	}
	return folder("",
		value("id", strconv.FormatInt(m.DropletID, 10)),
		value("hostname", m.Hostname),
		value("user-data", string(c.UserData)),
		value("vendor-data", ""),
		value("public-keys", strings.Join(c.AuthorizedKeys, "\n")),
		value("region", m.Region),
		folder("interfaces", folder("public", public...), folder("private", private...)),
		folder("dns", value("nameservers", "")),
		folder("floating_ip", active),
		folder("reserved_ip", active),
		value("tags", strings.Join(m.Tags, "\n")),
		folder("features", value("dhcp_enabled", "false")),
	)
}

func ipv4Folder(p netip.Prefix) node {
	v := ipv4Of(p)
	return folder("ipv4", value("address", v.Address), value("netmask", v.Netmask), value("gateway", v.Gateway))
}

type ipv4 struct {
	Address string `json:"ip_address"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
}

func ipv4Of(p netip.Prefix) ipv4 {
	mask := net.CIDRMask(p.Bits(), 32)
	return ipv4{p.Addr().String(), net.IP(mask).String(), p.Masked().Addr().Next().String()}
}

// macOf is a locally administered hardware address, made from the address.
func macOf(p netip.Prefix) string {
	b := p.Addr().As4()
	return net.HardwareAddr{0x02, 0x01, b[0], b[1], b[2], b[3]}.String()
}

type metadataInterface struct {
	IPv4 ipv4   `json:"ipv4"`
	MAC  string `json:"mac"`
	Type string `json:"type"`
}

type metadataIP struct {
	IPv4 struct {
		Active  bool   `json:"active"`
		Address string `json:"ip_address,omitempty"`
	} `json:"ipv4"`
}

// metadataDocument is everything at once.
func metadataDocument(c Config) any {
	m := c.Metadata
	interfaces := map[string][]metadataInterface{}
	for kind, p := range map[string]netip.Prefix{"public": m.Public, "private": m.Private} {
		interfaces[kind] = []metadataInterface{}
		if p.IsValid() {
			interfaces[kind] = append(interfaces[kind], metadataInterface{ipv4Of(p), macOf(p), kind})
		}
	}
	var reserved metadataIP
	if reserved.IPv4.Active = m.Reserved.IsValid(); reserved.IPv4.Active {
		reserved.IPv4.Address = m.Reserved.String()
	}
	return struct {
		DropletID  int64                          `json:"droplet_id"`
		Hostname   string                         `json:"hostname"`
		UserData   string                         `json:"user_data,omitempty"`
		VendorData string                         `json:"vendor_data"`
		PublicKeys []string                       `json:"public_keys"`
		Region     string                         `json:"region"`
		Interfaces map[string][]metadataInterface `json:"interfaces"`
		Floating   metadataIP                     `json:"floating_ip"`
		Reserved   metadataIP                     `json:"reserved_ip"`
		DNS        struct {
			Nameservers []string `json:"nameservers"`
		} `json:"dns"`
		Tags     []string        `json:"tags"`
		Features map[string]bool `json:"features"`
	}{
		DropletID: m.DropletID, Hostname: m.Hostname, UserData: string(c.UserData), PublicKeys: notNil(c.AuthorizedKeys),
		Region: m.Region, Interfaces: interfaces, Floating: reserved, Reserved: reserved,
		DNS: struct {
			Nameservers []string `json:"nameservers"`
		}{[]string{}}, Tags: notNil(m.Tags), Features: map[string]bool{"dhcp_enabled": false},
	}
}

// notNil is a list that is shown as one, however short.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
