package provider

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Bounds of a CloudInit: how many commands and packages, and how many bytes each.
const (
	MaxCommands     = 100
	MaxCommandBytes = 4096
	MaxPackages     = 100
	MaxPackageBytes = 128
)

// CloudInit is what a caller wants done on a machine's first boot, for those who
// write no cloud-config themselves. Its names are cloud-init's.
type CloudInit struct {
	RunCmd         []string `yaml:"runcmd,omitempty"` // lines for a shell, after everything else
	Packages       []string `yaml:"packages,omitempty"`
	PackageUpdate  bool     `yaml:"package_update,omitempty"`  // fetch the lists of packages first
	PackageUpgrade bool     `yaml:"package_upgrade,omitempty"` // bring all packages up to date
}

// UserData is c as a cloud-config document, to be a Boot's UserData; empty where
// c asks for nothing. What cloud-init would not understand is an *Error of kind
// Invalid.
func (c CloudInit) UserData() (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return "", &Error{Kind: Invalid, Op: opBoot, Message: "can't write the cloud-config", Err: err}
	}
	if strings.TrimSpace(string(text)) == "{}" {
		return "", nil
	}
	return "#cloud-config\n" + string(text), nil
}

func (c CloudInit) check() error {
	for _, list := range []struct {
		name        string
		items       []string
		most, bytes int
	}{
		{"runcmd", c.RunCmd, MaxCommands, MaxCommandBytes},
		{"packages", c.Packages, MaxPackages, MaxPackageBytes},
	} {
		if len(list.items) > list.most {
			return invalid("%s has %d items, and %d are possible", list.name, len(list.items), list.most)
		}
		for i, item := range list.items {
			if fault := faultOf(item, list.bytes); fault != "" {
				return invalid("%s: item %d %s", list.name, i+1, fault)
			}
		}
	}
	return nil
}

// faultOf is what is wrong with one item of a list, empty for nothing.
func faultOf(text string, most int) string {
	switch {
	case strings.TrimSpace(text) == "":
		return "is empty"
	case len(text) > most:
		return fmt.Sprintf("has %d bytes, and %d are possible", len(text), most)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return "is not text in UTF-8"
	}
	return ""
}
