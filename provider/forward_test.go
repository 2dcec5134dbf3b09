package provider

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestCheckForwards(t *testing.T) {
	many := make([]Forward, MaxForwards+1)
	for i := range many {
		many[i] = Forward{External: FirstForward + i, Internal: 80}
	}
	for name, tt := range map[string]struct {
		list []Forward
		want string // in the error; empty: none
	}{
		"none":             {nil, ""},
		"the document's":   {[]Forward{{20000, 22}, {20001, 80}}, ""},
		"two to one":       {[]Forward{{20000, 80}, {20099, 80}}, ""},
		"as many as can":   {many[:MaxForwards], ""},
		"too many":         {many, "more than the 20"},
		"below the range":  {[]Forward{{19999, 80}}, "external port 19999"},
		"above the range":  {[]Forward{{20100, 80}}, "external port 20100"},
		"no port":          {[]Forward{{20000, 0}}, "internal port 0"},
		"beyond all ports": {[]Forward{{20000, 65536}}, "internal port 65536"},
		"twice":            {[]Forward{{20000, 80}, {20000, 81}}, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckForwards(tt.list)
			if (err == nil) != (tt.want == "") || err != nil && (KindOf(err) != Invalid || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// The commands come after the caller's own, and only where there are forwards.
func TestBootForwards(t *testing.T) {
	b, _ := newBoot(t)
	b.UserData = []byte("#cloud-config\nbootcmd: [first]\n")
	own := func() cloudConfig {
		t.Helper()
		data, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		parts := decode(t, data)
		add := parts[len(parts)-2]
		if add.merge != mergeAdd {
			t.Fatalf("the part is merged by %q", add.merge)
		}
		var c cloudConfig
		if err := yaml.Unmarshal([]byte(add.text), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := own(); len(c.BootCommands) != 0 {
		t.Errorf("without forwards it runs %q", c.BootCommands)
	}
	b.Forwards = []Forward{{20000, 22}, {20001, 80}}
	c := own()
	if len(c.BootCommands) != 1 {
		t.Fatalf("it runs %q", c.BootCommands)
	}
	for _, want := range []string{
		"-p tcp -m addrtype --dst-type LOCAL --dport 20000 -j REDIRECT --to-ports 22\n", "--dport 20001 -j REDIRECT --to-ports 80\n",
		"fib daddr type local tcp dport 20000 redirect to :22\n", "tcp dport 20001 redirect to :80\n",
	} {
		if !strings.Contains(c.BootCommands[0], want) {
			t.Errorf("the command lacks %q: %s", want, c.BootCommands[0])
		}
	}
}

func TestCloudInit(t *testing.T) {
	for name, tt := range map[string]struct {
		in          CloudInit
		want, wrong string
	}{
		"nothing": {CloudInit{}, "", ""},
		"the document's": {
			CloudInit{RunCmd: []string{"echo 'Hello World'", "apt-get update", "apt-get install -y nginx"}, Packages: []string{"curl", "git"}, PackageUpdate: true},
			"#cloud-config\nruncmd:\n    - echo 'Hello World'\n    - apt-get update\n    - apt-get install -y nginx\npackages:\n    - curl\n    - git\npackage_update: true\n", "",
		},
		"what looks like YAML": {CloudInit{RunCmd: []string{"- a: [b"}}, "#cloud-config\nruncmd:\n    - '- a: [b'\n", ""},
		"an empty command":     {CloudInit{RunCmd: []string{"ls", " "}}, "", "runcmd: item 2 is empty"},
		"a long command":       {CloudInit{RunCmd: []string{strings.Repeat("x", MaxCommandBytes+1)}}, "", "runcmd: item 1 has 4097 bytes"},
		"too many packages":    {CloudInit{Packages: make([]string, MaxPackages+1)}, "", "packages has 101 items"},
		"a zero byte":          {CloudInit{Packages: []string{"a\x00"}}, "", "not text"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.in.UserData()
			switch {
			case tt.wrong != "":
				if KindOf(err) != Invalid || !strings.Contains(err.Error(), tt.wrong) {
					t.Errorf("got %v, want %q", err, tt.wrong)
				}
			case err != nil || got != tt.want:
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			case got != "":
				if _, err := parseUserData([]byte(got)); err != nil {
					t.Errorf("it is not taken as user data: %v", err)
				}
			}
		})
	}
}
