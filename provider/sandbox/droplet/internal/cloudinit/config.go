package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Config is what is understood of cloud-config.
type Config struct {
	Hostname       string
	FQDN           string
	AuthorizedKeys List // of root, who is the first user on these servers
	Users          []User
	Groups         Groups // to create before the users
	Password       string // of root
	Chpasswd       Chpasswd
	PasswordAuth   Switch
	DisableRoot    Switch
	DeleteHostKeys Switch
	HostKeys       map[string]string // "ed25519_private" and the like
	Files          []File
	BootCommands   []Command // on every boot
	Commands       []Command // once
	Packages       []any     // nothing can install them: there is no network
	PackageUpdate  Switch    // nothing to fetch, for the same reason
	PackageUpgrade Switch
}

// User is an account to create. One that was given as a bare name has only that.
type User struct {
	Name           string `yaml:"name"`
	Gecos          string `yaml:"gecos"`
	PrimaryGroup   string `yaml:"primary_group"`
	Groups         List   `yaml:"groups"`
	Shell          string `yaml:"shell"`
	Home           string `yaml:"homedir"`
	UID            Number `yaml:"uid"`
	AuthorizedKeys List   `yaml:"ssh_authorized_keys"`
	PasswordHash   string `yaml:"passwd"`
	HashedPassword string `yaml:"hashed_passwd"`
	PlainPassword  string `yaml:"plain_text_passwd"`
	LockPassword   Switch `yaml:"lock_passwd"`
	Sudo           Rules  `yaml:"sudo"` // lines of sudoers, without the name
	NoCreateHome   bool   `yaml:"no_create_home"`
	System         bool   `yaml:"system"`
}

// UnmarshalYAML reads an account, or the bare name of one.
func (u *User) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		u.Name = n.Value
		return nil
	}
	type plain User
	return n.Decode((*plain)(u))
}

// Group is a group to create, and who is in it beside the users that name it.
type Group struct {
	Name    string
	Members List
}

// Groups is a list of names, or of names with members, or one text with commas.
type Groups []Group

// UnmarshalYAML reads all forms.
func (g *Groups) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			if err := g.UnmarshalYAML(item); err != nil {
				return err
			}
		}
		return nil
	}
	if n.Kind == yaml.MappingNode {
		var members map[string]List
		if err := n.Decode(&members); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			*g = append(*g, Group{name, members[name]})
		}
		return nil
	}
	var names List
	if err := names.UnmarshalYAML(n); err != nil {
		return err
	}
	for _, name := range names {
		*g = append(*g, Group{Name: name})
	}
	return nil
}

// Chpasswd sets passwords.
type Chpasswd struct {
	Expire Switch `yaml:"expire"` // whether they have to be changed at the first login
	List   Lines  `yaml:"list"`   // "name:password"
	Users  []struct {
		Name     string `yaml:"name"`
		Password string `yaml:"password"`
		Type     string `yaml:"type"` // hash (the default), text
	} `yaml:"users"`
}

// Password is a password for an account.
type Password struct {
	Name, Value string
	Hashed      bool // as in /etc/shadow
}

var hashForm = regexp.MustCompile(`^\$[0-9a-z]{1,3}\$`)

// Passwords lists all of them, in the order in which they are set.
func (c Config) Passwords() []Password {
	var all []Password
	if c.Password != "" {
		all = append(all, Password{"root", c.Password, hashForm.MatchString(c.Password)})
	}
	for _, line := range c.Chpasswd.List {
		if name, value, ok := strings.Cut(line, ":"); ok {
			all = append(all, Password{strings.TrimSpace(name), value, hashForm.MatchString(value)})
		}
	}
	for _, u := range c.Chpasswd.Users {
		all = append(all, Password{u.Name, u.Password, u.Type == "" || u.Type == "hash"})
	}
	return all
}

// File is a file to write.
type File struct {
	Path        string      `yaml:"path"`
	Content     string      `yaml:"content"`
	Encoding    string      `yaml:"encoding"`
	Owner       string      `yaml:"owner"` // "user:group"
	Permissions Permissions `yaml:"permissions"`
	Append      bool        `yaml:"append"`
	Defer       bool        `yaml:"defer"`
}

// Bytes is the decoded content.
func (f File) Bytes() ([]byte, error) {
	b := []byte(f.Content)
	encoding := strings.ToLower(strings.TrimSpace(f.Encoding))
	switch encoding {
	case "", "text/plain":
		return b, nil
	case "b64", "base64", "gz+b64", "gzip+b64", "gz+base64", "gzip+base64":
		var err error
		if b, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(f.Content), "")); err != nil {
			return nil, err
		}
	case "gz", "gzip":
	default:
		return nil, fmt.Errorf("encoding %q is not known", f.Encoding)
	}
	if !strings.HasPrefix(encoding, "gz") {
		return b, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(z, maxUnpacked))
}

// Permissions are a file's, 0 if not given.
type Permissions fs.FileMode

// UnmarshalYAML reads a number, or a text that is octal.
func (p *Permissions) UnmarshalYAML(n *yaml.Node) error {
	var number uint32
	if n.Tag == "!!int" {
		if err := n.Decode(&number); err != nil {
			return err
		}
		*p = Permissions(number & 0o7777)
		return nil
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(n.Value), "0o"), 8, 12)
	if err != nil {
		return fmt.Errorf("permissions %q are not octal", n.Value)
	}
	*p = Permissions(v)
	return nil
}

// Command is a line for a shell, or the words of a command.
type Command struct {
	Line  string
	Words []string
}

// UnmarshalYAML reads either form.
func (c *Command) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		for _, word := range n.Content {
			c.Words = append(c.Words, word.Value)
		}
		return nil
	}
	return n.Decode(&c.Line)
}

// Shell is the command as one line of a shell script.
func (c Command) Shell() string {
	if c.Words == nil {
		return c.Line
	}
	quoted := make([]string, len(c.Words))
	for i, w := range c.Words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

// Script joins commands to a shell script; one that fails does not keep the next from running.
func Script(commands []Command) []byte {
	var b bytes.Buffer
	b.WriteString("#!/bin/sh\n")
	for _, c := range commands {
		b.WriteString(c.Shell() + "\n")
	}
	return b.Bytes()
}

// List is a list of texts, or one text with commas.
type List []string

// UnmarshalYAML reads either form.
func (l *List) UnmarshalYAML(n *yaml.Node) error { return texts(n, ",", (*[]string)(l)) }

// Lines is a list of texts, or one text with several lines.
type Lines []string

// UnmarshalYAML reads either form.
func (l *Lines) UnmarshalYAML(n *yaml.Node) error { return texts(n, "\n", (*[]string)(l)) }

// Rules is a list of texts, one text, or false for none.
type Rules []string

// UnmarshalYAML reads all forms.
func (r *Rules) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && (n.Tag == "!!bool" || n.Tag == "!!null") {
		return nil
	}
	return texts(n, "\n", (*[]string)(r))
}

func texts(n *yaml.Node, separator string, out *[]string) error {
	if n.Kind != yaml.ScalarNode {
		return n.Decode(out)
	}
	for s := range strings.SplitSeq(n.Value, separator) {
		if s = strings.TrimSpace(s); s != "" {
			*out = append(*out, s)
		}
	}
	return nil
}

// Number is a number that may be given as text; nil if it was not given.
type Number struct{ Value *int }

// UnmarshalYAML reads either form.
func (v *Number) UnmarshalYAML(n *yaml.Node) error {
	i, err := strconv.Atoi(n.Value)
	if err != nil {
		return fmt.Errorf("%q is not a number", n.Value)
	}
	v.Value = &i
	return nil
}

// Switch is a boolean that may be absent.
type Switch struct{ Set, On bool }

// UnmarshalYAML reads a boolean or a word for one; any other word means "leave it".
func (s *Switch) UnmarshalYAML(n *yaml.Node) error {
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on", "1":
		*s = Switch{true, true}
	case "false", "no", "off", "0":
		*s = Switch{true, false}
	}
	return nil
}

// decode reads one setting after the other, so that a mistake in one leaves the rest.
func decode(settings map[string]any) (Config, []string) {
	var c Config
	var warnings []string
	fields := map[string]any{
		"hostname": &c.Hostname, "fqdn": &c.FQDN, "ssh_authorized_keys": &c.AuthorizedKeys, "users": &c.Users, "groups": &c.Groups,
		"password": &c.Password, "chpasswd": &c.Chpasswd, "ssh_pwauth": &c.PasswordAuth,
		"disable_root": &c.DisableRoot, "ssh_deletekeys": &c.DeleteHostKeys, "ssh_keys": &c.HostKeys,
		"write_files": &c.Files, "bootcmd": &c.BootCommands, "runcmd": &c.Commands, "packages": &c.Packages,
		"package_update": &c.PackageUpdate, "package_upgrade": &c.PackageUpgrade,
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		field, ok := fields[name]
		if !ok {
			warnings = append(warnings, fmt.Sprintf("cloud-config: %s is not supported here", name))
			continue
		}
		b, err := yaml.Marshal(settings[name])
		if err == nil {
			err = yaml.Unmarshal(b, field)
		}
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("cloud-config: %s: %v", name, err))
		}
	}
	return c, warnings
}
