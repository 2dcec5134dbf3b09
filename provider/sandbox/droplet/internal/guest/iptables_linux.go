package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// IptablesName is the name under which a binary is the droplet's iptables. It knows one kind of rule, which is all that
// servers need to lead a port to another; every other is refused, so that nobody takes it for obeyed.
const IptablesName = "iptables"

const (
	natChain = "PREROUTING"
	natHelp  = `this sandbox's iptables understands only
  iptables [-w] -t nat -A|-C|-D PREROUTING -p tcp [-m addrtype --dst-type LOCAL] --dport PORT -j REDIRECT --to-ports PORT
  iptables [-w] -t nat -S|-L [PREROUTING]`
)

// Iptables is the main function of iptables. It returns an exit status: 1 where the rule is not there or can't be set,
// 2 where the arguments are not understood, 4 for those who are not root.
func Iptables(args []string) int {
	c, err := parseIptables(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v: %s\n", IptablesName, err, natHelp)
		return 2
	}
	rules, err := askNAT(natRequest{Op: c.op, Rule: c.rule})
	switch {
	case errors.Is(err, fs.ErrPermission):
		fmt.Fprintf(os.Stderr, "%s: Permission denied (you must be root)\n", IptablesName)
		return 4
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", IptablesName, err)
		return 1
	case c.op == natShow:
		show(rules, c.table)
	}
	return 0
}

// show lists rules: as options that would set them, or as a table.
func show(rules []natRule, table bool) {
	if !table {
		fmt.Printf("-P %s ACCEPT\n", natChain)
		for _, r := range rules {
			fmt.Println(r)
		}
		return
	}
	fmt.Printf("Chain %s (policy ACCEPT)\n%-10s %-4s %-3s %-20s %s\n", natChain, "target", "prot", "opt", "source", "destination")
	for _, r := range rules {
		local := ""
		if r.Local {
			local = "ADDRTYPE match dst-type LOCAL "
		}
		fmt.Printf("%-10s %-4s %-3s %-20s %-20s %stcp dpt:%d redir ports %d\n", "REDIRECT", "tcp", "--", "0.0.0.0/0", "0.0.0.0/0", local, r.Port, r.To)
	}
}

// iptablesCall is what a command line asks for.
type iptablesCall struct {
	op    string
	table bool // -L: show as a table
	rule  natRule
}

// parseIptables reads a command line, and refuses what it does not understand whole.
func parseIptables(args []string) (c iptablesCall, err error) {
	given := map[string]string{}
	for i := 0; i < len(args); i++ {
		name := args[i]
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		option, known := iptablesOptions[name]
		switch {
		case !known:
			return c, fmt.Errorf("%q is not understood", name)
		case option.values == nil:
			if _, err := strconv.Atoi(next); err == nil && option.is == "-w" {
				i++ // how long to wait
			}
			continue
		case option.optional && (next == "" || strings.HasPrefix(next, "-")):
			next = natChain
		default:
			i++
		}
		if len(option.values) > 0 && !slices.Contains(option.values, next) {
			return c, fmt.Errorf("%s %q is not understood", name, next)
		}
		if _, twice := given[option.is]; twice && option.is != "-m" {
			return c, fmt.Errorf("%s comes twice", name)
		}
		given[option.is] = next
	}
	return callOf(given)
}

// iptablesOptions are the options that are understood, the long ones by their short names.
var iptablesOptions = func() map[string]iptablesOption {
	chain, port := []string{natChain}, []string{}
	short := []iptablesOption{
		{is: "-w", long: "--wait"},
		{is: "-n", long: "--numeric"},
		{is: "-t", long: "--table", values: []string{"nat"}},
		{is: natAppend, long: "--append", values: chain},
		{is: natCheck, long: "--check", values: chain},
		{is: natDelete, long: "--delete", values: chain},
		{is: natShow, long: "--list-rules", values: chain, optional: true},
		{is: "-L", long: "--list", values: chain, optional: true},
		{is: "-p", long: "--protocol", values: []string{"tcp"}},
		{is: "-m", long: "--match", values: []string{"tcp", "addrtype"}},
		{is: "--dst-type", long: "--dst-type", values: []string{"LOCAL"}},
		{is: "--dport", long: "--destination-port", values: port},
		{is: "-j", long: "--jump", values: []string{"REDIRECT"}},
		{is: "--to-ports", long: "--to-ports", values: port},
	}
	all := map[string]iptablesOption{}
	for _, o := range short {
		all[o.is], all[o.long] = o, o
	}
	return all
}()

type iptablesOption struct {
	is, long string
	values   []string // the only ones; empty for any, nil where it has none
	optional bool     // the value may be left out
}

// callOf puts the options together.
func callOf(given map[string]string) (c iptablesCall, err error) {
	for _, op := range []string{natAppend, natCheck, natDelete, natShow, "-L"} {
		if _, ok := given[op]; !ok {
			continue
		}
		if c.op != "" {
			return c, errors.New("one command at a time")
		}
		c.op = op
	}
	switch {
	case given["-t"] == "":
		return c, errors.New("the table must be nat")
	case c.op == "":
		return c, errors.New("no command")
	case c.op == "-L":
		c.op, c.table = natShow, true
	}
	if c.op == natShow {
		return c, nil
	}
	if given["-p"] == "" || given["-j"] == "" {
		return c, errors.New("-p tcp and -j REDIRECT are needed")
	}
	c.rule.Local = given["--dst-type"] != ""
	for name, port := range map[string]*int{"--dport": &c.rule.Port, "--to-ports": &c.rule.To} {
		if *port, err = strconv.Atoi(given[name]); err != nil || !isPort(*port) {
			return c, fmt.Errorf("%s %q is no port", name, given[name])
		}
	}
	return c, nil
}
