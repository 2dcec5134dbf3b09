// Command berth sells servers to software agents: it serves them over MCP and
// HTTP, and is the operator's hand on the books.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"berth/provider/sandbox/droplet"
)

// commands are what can be asked of the program.
type commands struct {
	serving
	speaking
	Demo    demoCommand    `cmd:"" help:"Tell an agent's whole story, for real and offline, in a minute."`
	Sandbox sandboxCommand `cmd:"" help:"Serve the cloud in a box alone, for any DigitalOcean client."`

	Account   accountCommands  `cmd:"" help:"Accounts, their credit, caps and API keys."`
	Servers   serversCommands  `cmd:"" help:"Everybody's servers."`
	Payout    payoutCommand    `cmd:"" help:"Send an account's unspent credit back to its wallet."`
	Ledger    ledgerCommands   `cmd:"" help:"The books: verify, export, statement."`
	Reconcile reconcileCommand `cmd:"" help:"Compare the provider's machines with the books now."`
	Status    statusCommand    `cmd:"" help:"What runs on the data directory."`
	Stop      stopCommand      `cmd:"" help:"Stop what runs on the data directory, cleanly."`

	versionFlag
}

type serving struct {
	Serve serveCommand `cmd:"" help:"Serve agents over HTTP and MCP."`
}

type speaking struct {
	MCP mcpCommand `cmd:"" name:"mcp" help:"Speak MCP on standard input and output, for a host that starts programs."`
}

type versionFlag struct {
	Version kong.VersionFlag `help:"Print the version."`
}

// grammar is what the arguments are parsed by. A host waits for `berth mcp` and
// for the `berth serve` behind it, and describing all the other commands to the
// parser takes a tenth of that time, in each of the two: they get one of their
// own, which reads the same arguments.
func grammar(args []string) any {
	if len(args) == 0 {
		return &commands{}
	}
	switch args[0] {
	case "mcp":
		return &struct {
			speaking
			versionFlag
		}{}
	case "serve":
		return &struct {
			serving
			versionFlag
		}{}
	}
	return &commands{}
}

func main() {
	droplet.Main() // the cloud in a box starts this program again, as a machine's first process
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	parser, err := kong.New(grammar(args), kong.Name("berth"), kong.Vars{"version": version()},
		kong.Description("Servers for software agents. Try it: berth demo"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth:", err)
		return 1
	}
	k, err := parser.Parse(usual(args))
	if err != nil {
		return misunderstood(err)
	}
	err = k.Run()
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(os.Stderr, "berth:", err)
	return 1
}

// exitCode ends the program with a status and without a word.
type exitCode int

// Error implements error.
func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }
