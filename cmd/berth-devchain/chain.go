package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rpc"
)

// settings are what sets chains apart.
type settings struct {
	data      string // empty: in memory
	blockTime time.Duration
	lazy      bool
	extra     types.GenesisAlloc // for tests
}

// chain is a node of go-ethereum without peers, whose blocks are made here.
type chain struct {
	node   *node.Node
	eth    *eth.Ethereum
	beacon *catalyst.SimulatedBeacon
	rpc    *rpc.Server
	client *ethclient.Client
	faucet sync.Mutex   // the faucet's next transaction nonce
	making sync.Mutex   // of blocks
	leap   atomic.Int64 // by how many nanoseconds the chain's clock was moved ahead on purpose

	set  settings
	stop chan struct{}
	done sync.WaitGroup
}

// newChain starts a chain, from where its folder left it if it has one.
func newChain(s settings) (*chain, error) {
	log.SetDefault(log.NewLogger(log.DiscardHandler()))
	stack, err := node.New(nodeConfig(s))
	if err != nil {
		return nil, fmt.Errorf("open the chain's folder: %w", err)
	}
	c := &chain{node: stack, set: s, stop: make(chan struct{})}
	if err := c.start(); err != nil {
		return nil, errors.Join(err, stack.Close())
	}
	c.makeBlock() // the newest may be of 1970, or of when the folder was last used
	c.done.Go(c.makeBlocks)
	return c, nil
}

// nodeConfig is a node that listens nowhere: its JSON-RPC is served beside the
// faucet.
func nodeConfig(s settings) *node.Config {
	config := node.DefaultConfig
	config.Name = "berth-devchain"
	config.DataDir = s.data
	config.P2P = p2p.Config{NoDiscovery: true, NoDial: true}
	config.IPCPath, config.HTTPHost, config.WSHost, config.AuthAddr = "", "", "", ""
	config.AuthPort = 0
	return &config
}

func chainConfig(s settings) *ethconfig.Config {
	config := ethconfig.Defaults
	config.NetworkId = chainID
	config.Genesis = genesis(s.extra)
	config.SyncMode = ethconfig.FullSync
	config.TxPool.NoLocals = true
	config.TxPool.Journal = ""
	config.BlobPool.Datadir = ""
	config.LogNoHistory = true // logs are searched without an index, which lags
	config.StateScheme = rawdb.HashScheme
	config.NoPruning = true // each block's state is kept, so that a kill loses nothing
	config.DatabaseCache, config.TrieCleanCache, config.TrieDirtyCache, config.SnapshotCache = 16, 16, 16, 0
	config.Miner.GasCeil = gasLimit
	return &config
}

func (c *chain) start() (err error) {
	if c.eth, err = eth.New(c.node, chainConfig(c.set)); err != nil {
		return fmt.Errorf("open the chain: %w", err)
	}
	if err = c.node.Start(); err != nil {
		return fmt.Errorf("start the chain: %w", err)
	}
	if c.beacon, err = catalyst.NewSimulatedBeacon(0, common.Address{}, c.eth); err != nil {
		return fmt.Errorf("start the chain: %w", err)
	}
	c.eth.SetSynced()
	c.leap.Store(int64(max(0, c.lead()))) // a kept chain may have been ahead
	return c.serveRPC()
}

// served are the namespaces that wallets and Berth use. The node's others would
// let anybody who reaches the port into its inside.
var served = map[string]bool{"eth": true, "net": true, "web3": true}

func (c *chain) serveRPC() error {
	apis := append(c.eth.APIs(), rpc.API{
		Namespace: "eth",
		Service:   filters.NewFilterAPI(filters.NewFilterSystem(c.eth.APIBackend, filters.Config{})),
	}, rpc.API{Namespace: "evm", Service: &control{c}})
	c.rpc = rpc.NewServer()
	for _, api := range apis {
		if !served[api.Namespace] && api.Namespace != "evm" {
			continue
		}
		if err := c.rpc.RegisterName(api.Namespace, api.Service); err != nil {
			return fmt.Errorf("serve %s: %w", api.Namespace, err)
		}
	}
	c.client = ethclient.NewClient(rpc.DialInProc(c.rpc))
	return nil
}

// close ends the chain, and writes what it keeps.
func (c *chain) close() error {
	close(c.stop)
	c.done.Wait()
	c.client.Close()
	c.rpc.Stop()
	return errors.Join(c.beacon.Stop(), c.node.Close())
}
