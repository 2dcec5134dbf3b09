package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func zip(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func multi(parts ...string) string {
	return "Content-Type: multipart/mixed; boundary=\"=X=\"\nMIME-Version: 1.0\n\n--=X=\n" +
		strings.Join(parts, "\n--=X=\n") + "\n--=X=--\n"
}

func TestParseKinds(t *testing.T) {
	script := "#!/bin/sh\necho hi\n"
	config := "#cloud-config\nruncmd: [echo a, [echo, \"it's\"]]\n"
	encoded := base64.StdEncoding.EncodeToString([]byte(script))
	for name, c := range map[string]struct {
		in       string
		scripts  []string
		commands string
		warning  string
	}{
		"nothing":            {in: " \n"},
		"script":             {in: script, scripts: []string{script}},
		"zipped script":      {in: zip(t, script), scripts: []string{script}},
		"config":             {in: config, commands: "#!/bin/sh\necho a\n'echo' 'it'\\''s'\n"},
		"text":               {in: "hello", warning: "neither a script"},
		"broken config":      {in: "#cloud-config\n\truncmd: [", warning: "invalid cloud-config"},
		"not a map":          {in: "#cloud-config\n- a\n", warning: "invalid cloud-config"},
		"unknown key":        {in: "#cloud-config\nswap: 1\n", warning: "swap is not supported"},
		"other kind":         {in: "#include\nhttp://x\n", warning: "not supported"},
		"broken gzip":        {in: zip(t, script)[:12], warning: "gzip"},
		"bomb":               {in: zip(t, strings.Repeat("a", maxUnpacked+1)), warning: "more than"},
		"archive":            {in: multi("Content-Type: text/x-shellscript\n\n"+script, "Content-Type: text/cloud-config\n\n"+config), scripts: []string{script}, commands: "#!/bin/sh\necho a\n'echo' 'it'\\''s'\n"},
		"base64 member":      {in: multi("Content-Transfer-Encoding: base64\n\n" + encoded), scripts: []string{script}},
		"archive in archive": {in: multi("Content-Type: multipart/mixed; boundary=Y\n\n--Y\n\n" + script + "\n--Y--\n"), scripts: []string{script}},
		"archive cut off":    {in: multi("\n" + script)[:80], warning: "MIME"},
		"too many parts":     {in: multi(strings.Split(strings.Repeat("\n#!/bin/sh,", 70), ",")...), scripts: slicesOf("#!/bin/sh", maxParts-1), warning: "more than 64 parts"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Parse([]byte(c.in))
			var scripts []string
			for _, s := range d.Scripts {
				scripts = append(scripts, string(s))
			}
			if diff := cmp.Diff(c.scripts, scripts); diff != "" {
				t.Errorf("scripts (-want +got):\n%s", diff)
			}
			commands := ""
			if d.Config.Commands != nil {
				commands = string(Script(d.Config.Commands))
			}
			if commands != c.commands {
				t.Errorf("commands %q, want %q", commands, c.commands)
			}
			all := strings.Join(d.Warnings, "\n")
			if c.warning == "" && all != "" || !strings.Contains(all, c.warning) {
				t.Errorf("warnings %q, want %q", all, c.warning)
			}
		})
	}
}

func slicesOf(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func TestConfigFields(t *testing.T) {
	d := Parse([]byte(`#cloud-config
hostname: web
ssh_authorized_keys: ["ssh-ed25519 AAAA a"]
users:
- default
- name: ann
  groups: adm, www-data
  uid: "1500"
  lock_passwd: false
  ssh_authorized_keys:
  - ssh-ed25519 BBBB b
ssh_pwauth: yes
disable_root: "false"
password: top
chpasswd:
  expire: false
  list: |
    root:one
    ann:$6$salt$hash
  users: [{name: bob, password: two, type: text}]
ssh_keys: {ed25519_private: "key\n"}
write_files:
- {path: /a, content: aGk=, encoding: b64, permissions: "0600", owner: "ann:ann"}
- {path: /b, content: plain, permissions: 0755, append: true}
- {path: /c, content: x, permissions: 9z}
`))
	if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "octal") {
		t.Errorf("warnings %q", d.Warnings)
	}
	c := d.Config
	want := []Password{
		{"root", "top", false}, {"root", "one", false}, {"ann", "$6$salt$hash", true}, {"bob", "two", false},
	}
	if diff := cmp.Diff(want, c.Passwords()); diff != "" {
		t.Error(diff)
	}
	if c.Hostname != "web" || c.PasswordAuth != (Switch{true, true}) || c.DisableRoot != (Switch{true, false}) {
		t.Errorf("got %+v", c)
	}
	if len(c.Users) != 2 || c.Users[0].Name != "default" || *c.Users[1].UID.Value != 1500 ||
		cmp.Diff(List{"adm", "www-data"}, c.Users[1].Groups) != "" || c.Users[1].LockPassword != (Switch{true, false}) {
		t.Errorf("users %+v", c.Users)
	}
	if len(c.Files) != 3 || c.Files[0].Permissions != 0o600 || c.Files[1].Permissions != 0o755 {
		t.Errorf("files %+v", c.Files)
	}
}

func TestFileEncodings(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for _, c := range []struct{ encoding, content, want string }{
		{"", "as is", "as is"},
		{"text/plain", "as is", "as is"},
		{"b64", b64([]byte("hi")), "hi"},
		{"base64", "aG\n k=", "hi"},
		{"gzip", zip(t, "hi"), "hi"},
		{"gz+b64", b64([]byte(zip(t, "hi"))), "hi"},
	} {
		got, err := File{Content: c.content, Encoding: c.encoding}.Bytes()
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v", c.encoding, got, err)
		}
	}
	for _, f := range []File{{Encoding: "rot13"}, {Encoding: "b64", Content: "?"}, {Encoding: "gz", Content: "x"}} {
		if _, err := f.Bytes(); err == nil {
			t.Errorf("%+v: no error", f)
		}
	}
}

func TestMergeOfTwoDocuments(t *testing.T) {
	first := "Content-Type: text/cloud-config\n\n#cloud-config\nhostname: a\nruncmd: [one]\n"
	second := "\n\n#cloud-config\nhostname: b\nruncmd: [two]\n"
	for name, c := range map[string]struct{ header, extra, hostname, commands, warning string }{
		"replaced by default":  {hostname: "b", commands: "two"},
		"appended by document": {extra: "merge_how: list(append)+dict(recurse_array)+str()\n", hostname: "a", commands: "one two"},
		"appended by list": {
			extra:    "merge_type:\n- {name: list, settings: [append]}\n- {name: dict, settings: [no_replace, recurse_list]}\n",
			hostname: "a", commands: "one two",
		},
		"prepended by header": {header: "Merge-Type: list(prepend)+dict(no_replace,recurse_list)+str()\n", hostname: "a", commands: "two one"},
		"kept":                {header: "X-Merge-Type: dict()+list()\n", hostname: "a", commands: "one"},
		"text joined":         {header: "Merge-Type: dict(recurse_str)+str(append)\n", hostname: "ab", commands: "one"},
		"nonsense":            {header: "Merge-Type: whatever\n", hostname: "b", commands: "two", warning: "merge rule"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Parse([]byte(multi(first, c.header+"Content-Type: text/cloud-config"+second+c.extra)))
			var commands []string
			for _, x := range d.Config.Commands {
				commands = append(commands, x.Line)
			}
			if got := strings.Join(commands, " "); got != c.commands || d.Config.Hostname != c.hostname {
				t.Errorf("got %q and %q, want %q and %q", d.Config.Hostname, got, c.hostname, c.commands)
			}
			if all := strings.Join(d.Warnings, "\n"); !strings.Contains(all, c.warning) || c.warning == "" && all != "" {
				t.Errorf("warnings %q", all)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("#cloud-config\nusers: [a, {name: b}]\nwrite_files: [{path: x, permissions: 1}]\n"))
	f.Add([]byte(multi("\n#!/bin/sh\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := Parse(b)
		Script(d.Config.Commands)
		d.Config.Passwords()
	})
}

func TestGroupsAndRules(t *testing.T) {
	for in, want := range map[string]Groups{
		"groups: [adm, {web: [ann, bob]}]": {{Name: "adm"}, {"web", List{"ann", "bob"}}},
		"groups: adm, web":                 {{Name: "adm"}, {Name: "web"}},
		"groups: {web: ann}":               {{"web", List{"ann"}}},
	} {
		if diff := cmp.Diff(want, Parse([]byte("#cloud-config\n"+in+"\n")).Config.Groups); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
	for in, want := range map[string]Rules{
		`"ALL=(ALL) NOPASSWD:ALL"`: {"ALL=(ALL) NOPASSWD:ALL"},
		"[a, b]":                   {"a", "b"},
		"false":                    nil,
		"null":                     nil,
	} {
		got := Parse([]byte("#cloud-config\nusers: [{name: ann, sudo: " + in + "}]\n")).Config.Users
		if len(got) != 1 {
			t.Fatalf("%s: %v", in, got)
		}
		if diff := cmp.Diff(want, got[0].Sudo); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}
