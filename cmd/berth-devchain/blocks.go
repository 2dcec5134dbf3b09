package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
)

// maxLead is how far the chain's clock may run ahead of the world's. Each block
// is a second at least, so that a burst of transactions, each in a block of its
// own, would carry it away from what payers sign.
const maxLead = 20 * time.Second

// makeBlocks makes a block for each batch of transactions as it comes, and one
// every block time, by which the chain's clock keeps up with the world's.
func (c *chain) makeBlocks() {
	arrived := make(chan core.NewTxsEvent, 64)
	subscription := c.eth.TxPool().SubscribeTransactions(arrived, true)
	defer subscription.Unsubscribe()
	tick := time.NewTicker(c.set.blockTime)
	defer tick.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
			c.makeBlock()
		case <-arrived:
			if c.set.lazy {
				continue
			}
			if !c.waitForClock() {
				return
			}
			c.makeBlock()
		}
	}
}

// makeBlock makes a block of what is in the pool, and has it on disk where the
// chain is kept: the database would hold it back for a while.
func (c *chain) makeBlock() {
	c.making.Lock()
	defer c.making.Unlock()
	c.beacon.Commit()
	c.persist()
}

func (c *chain) persist() {
	if c.set.data == "" {
		return
	}
	if err := c.eth.ChainDb().SyncKeyValue(); err != nil {
		fmt.Fprintln(os.Stderr, "berth-devchain: keep a block:", err)
	}
}

// waitForClock waits while the chain's clock leads too far. It is false where
// the chain is to stop.
func (c *chain) waitForClock() bool {
	lead := c.lead() - time.Duration(c.leap.Load())
	if lead <= maxLead {
		return true
	}
	timer := time.NewTimer(lead - maxLead)
	defer timer.Stop()
	select {
	case <-c.stop:
		return false
	case <-timer.C:
		return true
	}
}

// lead is how far the chain's clock is before the world's.
func (c *chain) lead() time.Duration {
	return time.Until(time.Unix(int64(c.eth.BlockChain().CurrentBlock().Time), 0))
}

// control is the namespace evm, by the names that development chains share.
type control struct{ chain *chain }

// Mine makes a block now: evm_mine.
func (k *control) Mine() string {
	k.chain.makeBlock()
	return "0x0"
}

// maxLeap bounds evm_increaseTime: nothing on the chain lasts longer.
const maxLeap = 365 * 24 * 3600

// IncreaseTime makes a block that many seconds after the last one:
// evm_increaseTime. It fails while transactions wait. Until the world's clock
// has caught up, the chain's goes on by a second with each block.
func (k *control) IncreaseTime(seconds hexutil.Uint64) (string, error) {
	if seconds == 0 || seconds > maxLeap {
		return "", errors.New("between 1 second and a year")
	}
	k.chain.making.Lock()
	defer k.chain.making.Unlock()
	leap := time.Duration(seconds) * time.Second
	if err := k.chain.beacon.AdjustTime(leap); err != nil {
		return "", err
	}
	k.chain.persist()
	k.chain.leap.Add(int64(leap))
	return seconds.String(), nil
}
