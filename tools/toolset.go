package tools

import (
	"slices"
	"strings"

	"berth"
	"berth/ops"
)

// everything is the name that stands for all toolsets.
const everything = "all"

// Toolsets are the names of the toolsets of a table, and "all".
func Toolsets(table *ops.Table) []string {
	var names []string
	for _, op := range table.All() {
		if set := op.Doc.Toolset; set != "" && !slices.Contains(names, set) {
			names = append(names, set)
		}
	}
	return append(names, everything)
}

// ParseToolsets reads a list of toolsets that is separated by commas, none for
// the default one. A name that there is not is berth.InvalidInput: a connection
// without tools would look like a Berth that can do nothing.
func ParseToolsets(table *ops.Table, list string) ([]string, error) {
	known := Toolsets(table)
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "":
		case slices.Contains(known, name):
			names = append(names, name)
		default:
			e := berth.Errorf(berth.InvalidInput, "there is no toolset %.40q", name)
			e.Fields = []berth.Field{{Name: "toolsets", Reason: "unknown: " + name[:min(len(name), 40)]}}
			return nil, e.Hinted("there are: %s", strings.Join(known, ", "))
		}
	}
	return names, nil
}
