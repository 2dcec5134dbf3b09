// Command berth-devchain is a development chain in one process: an Ethereum
// node of its own, alone, under Base Sepolia's chain id, with play USDC at the
// address of the real one, and a faucet. Payments of wallets can be tried
// against it offline. Its money is play money.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// options are the program's flags.
type options struct {
	Listen    string        `default:"127.0.0.1:8545" env:"BERTH_DEVCHAIN_LISTEN" help:"Address for JSON-RPC and the faucet."`
	Data      string        `env:"BERTH_DEVCHAIN_DATA" type:"path" help:"Folder in which the chain is kept; without it, it is gone at the end."`
	BlockTime time.Duration `default:"2s" env:"BERTH_DEVCHAIN_BLOCK_TIME" help:"A block at least this often, 1s to 1m: the chain's clock moves by blocks."`
	Lazy      bool          `env:"BERTH_DEVCHAIN_LAZY" help:"No blocks between those: transactions wait for the next."`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("berth-devchain"), kong.UsageOnError(),
		kong.Description("A development chain with play USDC and a faucet. Nothing on it is worth anything."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "berth-devchain:", err)
		os.Exit(1)
	}
}

// serve runs a chain until ctx ends. It says on out where, and with which
// accounts, once it answers.
func serve(ctx context.Context, o options, out io.Writer) (err error) {
	if o.BlockTime < time.Second || o.BlockTime > time.Minute {
		return fmt.Errorf("a block time of %s is not between 1s and 1m", o.BlockTime)
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return err
	}
	defer listener.Close() // serving closes it too
	c, err := newChain(settings{data: o.Data, blockTime: o.BlockTime, lazy: o.Lazy})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	server := &http.Server{Handler: c.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	banner(out, "http://"+listener.Addr().String(), o)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	<-failed
	return nil
}

// banner tells people what runs, and programs which line to wait for: the last.
func banner(out io.Writer, url string, o options) {
	kept := "in memory: gone when this ends"
	if o.Data != "" {
		kept = "in " + o.Data
	}
	fmt.Fprintf(out, `PLAY MONEY. A development chain: nothing on it is worth anything, and its keys are public.

chain     eip155:%d, kept %s
USDC      %s (6 decimals, name "USDC", version "2")
faucet    POST %s/faucet {"address":"0x…"} gives %d play USDC and 1 ether
accounts  with %d play USDC and 1,000 ether each:
`, chainID, kept, tokenAddress.Hex(), url, faucetDollars, accountDollars)
	for i := range accountCount {
		key := accountKey(i)
		fmt.Fprintf(out, "  %d  %s  key %s\n", i, key.Address().Hex(), key.Hex())
	}
	fmt.Fprintf(out, "\nready at %s\n", url)
}
