package cloudinit

import (
	"fmt"
	"regexp"
	"strings"
)

// rule says how a later cloud-config joins the earlier ones. The zero rule keeps what is there.
type rule struct {
	replace      bool // a later value replaces an earlier one of the same name
	recurseLists bool // without replace: lists of the same name are joined
	recurseText  bool // without replace: texts of the same name are joined
	append       bool // joined lists: the later one's items last
	prepend      bool // joined lists: the later one's items first
	appendText   bool
}

var mergerForm = regexp.MustCompile(`^\s*(list|dict|str)\s*\(([a-z_,\s]*)\)\s*$`)

// mergeRule finds the rule in the document (merge_how, merge_type), else in the part's header, else it is cloud-init's
// own: a later document's top-level values replace the earlier ones.
func mergeRule(doc map[string]any, header string) (rule, error) {
	standard := rule{replace: true}
	for _, name := range []string{"merge_how", "merge_type"} {
		if v, ok := doc[name]; ok {
			delete(doc, name)
			return parseRule(v)
		}
	}
	if header != "" {
		return parseRule(header)
	}
	return standard, nil
}

// parseRule reads "list(append)+dict(recurse_array)+str()", or the same as a list of names and settings.
func parseRule(v any) (rule, error) {
	var r rule
	switch v := v.(type) {
	case string:
		for merger := range strings.SplitSeq(v, "+") {
			m := mergerForm.FindStringSubmatch(merger)
			if m == nil {
				return rule{replace: true}, fmt.Errorf("merge rule %q is not understood", v)
			}
			r.add(m[1], strings.Split(m[2], ","))
		}
	case []any:
		for _, item := range v {
			entry, ok := item.(map[string]any)
			if !ok {
				return rule{replace: true}, fmt.Errorf("merge rule %v is not understood", item)
			}
			var settings []string
			if list, ok := entry["settings"].([]any); ok {
				for _, s := range list {
					settings = append(settings, fmt.Sprint(s))
				}
			}
			r.add(fmt.Sprint(entry["name"]), settings)
		}
	default:
		return rule{replace: true}, fmt.Errorf("merge rule %v is not understood", v)
	}
	return r, nil
}

func (r *rule) add(kind string, settings []string) {
	for _, s := range settings {
		switch kind + "." + strings.TrimSpace(s) {
		case "dict.replace":
			r.replace = true
		case "dict.recurse_list", "dict.recurse_array":
			r.recurseLists = true
		case "dict.recurse_str":
			r.recurseText = true
		case "list.append":
			r.append = true
		case "list.prepend":
			r.prepend = true
		case "str.append":
			r.appendText = true
		}
	}
}

func (r rule) maps(old, later map[string]any) map[string]any {
	if old == nil {
		old = map[string]any{}
	}
	for name, v := range later {
		if before, ok := old[name]; ok && !r.replace {
			v = r.values(before, v)
		}
		old[name] = v
	}
	return old
}

func (r rule) values(old, later any) any {
	switch o := old.(type) {
	case map[string]any:
		if l, ok := later.(map[string]any); ok {
			return r.maps(o, l)
		}
	case []any:
		if l, ok := later.([]any); ok && r.recurseLists {
			return r.lists(o, l)
		}
	case string:
		if l, ok := later.(string); ok && r.recurseText && r.appendText {
			return o + l
		}
	}
	return old
}

func (r rule) lists(old, later []any) []any {
	switch {
	case r.append:
		return append(append([]any{}, old...), later...)
	case r.prepend:
		return append(append([]any{}, later...), old...)
	}
	return old
}
