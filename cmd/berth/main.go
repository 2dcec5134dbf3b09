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
	Serve   serveCommand   `cmd:"" help:"Serve agents over HTTP and MCP."`
	MCP     mcpCommand     `cmd:"" name:"mcp" help:"Speak MCP on standard input and output, for a host that starts programs."`
	Demo    demoCommand    `cmd:"" help:"Tell an agent's whole story, for real and offline, in a minute."`
	Sandbox sandboxCommand `cmd:"" help:"Serve the cloud in a box alone, for any DigitalOcean client."`

	Account   accountCommands  `cmd:"" help:"Accounts, their credit, caps and API keys."`
	Servers   serversCommands  `cmd:"" help:"Everybody's servers."`
	Payout    payoutCommand    `cmd:"" help:"Send an account's unspent credit back to its wallet."`
	Ledger    ledgerCommands   `cmd:"" help:"The books: verify, export, statement."`
	Reconcile reconcileCommand `cmd:"" help:"Compare the provider's machines with the books now."`
	Status    statusCommand    `cmd:"" help:"What runs on the data directory."`
	Stop      stopCommand      `cmd:"" help:"Stop what runs on the data directory, cleanly."`

	Version kong.VersionFlag `help:"Print the version."`
}

func main() {
	droplet.Main() // the cloud in a box starts this program again, as a machine's first process
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	var c commands
	parser, err := kong.New(&c, kong.Name("berth"), kong.UsageOnError(), kong.Vars{"version": version()},
		kong.Description("Servers for software agents. Try it: berth demo"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth:", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		parser.FatalIfErrorf(err)
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
