package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"berth/ops"
)

// payoutCommand is `berth payout`.
type payoutCommand struct {
	where
	output
	accountName
	Amount string `help:"USD to send. Default: all that can go back." placeholder:"USD"`
	Rail   string `help:"mpp or x402. Default: the one that the wallet paid over." enum:",mpp,x402" default:""`
}

// Run begins the payout; Berth brings it to the chain in the background.
func (c *payoutCommand) Run(ctx context.Context) error {
	in := map[string]string{}
	if c.Amount != "" {
		in["amount"] = c.Amount
	}
	if c.Rail != "" {
		in["rail"] = c.Rail
	}
	var out ops.PaymentView
	if err := c.ask(ctx, http.MethodPost, c.path("/payouts"), in, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		fmt.Fprintf(w, "Payout\t%s\nAmount\t%s USD\nTo\t%s\nRail\t%s\nStatus\t%s\n", out.ID, out.Amount, out.Wallet, out.Rail, out.Status)
	})
}
