// Public clients buy servers from Berth, on chains of this machine: mppx and its
// program, @x402/fetch, x402's version 1, sign-in-with-x, and wallets over MCP.
// Prints a line for each; the exit status is 0 if all is as it must be.
//
//   node story.mjs --berth ./berth --devchain ./berth-devchain --token PlayUSDC.hex --contracts ../contracts --work /tmp/story
import { parseArgs } from 'node:util';
import * as apikey from './apikey.mjs';
import { startBerth } from './berth.mjs';
import { anvilAccount, newAccount, startBase, startDevchain, startTempo } from './chains.mjs';
import * as contracts from './contracts.mjs';
import * as deposit from './deposit.mjs';
import * as mcp from './mcp.mjs';
import * as mppx from './mppx.mjs';
import * as once from './once.mjs';
import { stopAll } from './programs.mjs';
import * as slow from './slow.mjs';
import * as x402 from './x402.mjs';

const { values: options } = parseArgs({
  options: {
    berth: { type: 'string' },
    devchain: { type: 'string' },
    token: { type: 'string' }, // the runtime code of the play USDC
    work: { type: 'string' },
    contracts: { type: 'string', default: '' }, // the folder of the other contracts' clients; empty: they are left out
    only: { type: 'string', default: '' }, // a part of a scene's name
  },
});

const [payer, sponsor] = [anvilAccount(0), anvilAccount(1)];

/** The scenes of the Berth whose payers pay for their own gas on Tempo, and of both rails. */
const open = (berth) => [
  ['mppx, library: proof, server, extension, SSH key', () => mppx.library(berth, payer, { gas: 50_000n })],
  ['mppx, program', () => mppx.commandLine(berth, payer, { gas: 50_000n })],
  ['mppx, program, over x402', () => mppx.commandLineX402(berth, newAccount())],
  ['mppx, validator', () => mppx.validator(berth, payer)],
  ['@x402/fetch, version 2', () => x402.second(berth, newAccount())],
  ['x402-fetch, version 1', () => x402.version1(berth, newAccount())],
  ['sign-in-with-x of a newcomer', () => x402.signIn(berth, newAccount())],
  ['MCP: mppx, which announces payments', () => mcp.mpp(berth, payer, { announces: true, gas: 50_000n })],
  ['MCP: mppx, which does not', () => mcp.mpp(berth, payer, { announces: false, gas: 50_000n })],
  ['MCP: x402', () => mcp.x402(berth, newAccount())],
  ['MCP: no wallet', () => mcp.without(berth)],
  ['an API key by one proof', () => apikey.minted(berth, anvilAccount(2), { gas: 50_000n })],
  ['eight at once over MPP', () => once.mpp(berth, anvilAccount(3), { gas: 50_000n })],
  ['eight at once over x402', () => once.x402(berth, newAccount())],
];

/** Where Berth pays for the gas, a payer loses the price to the unit. */
const sponsored = (berth) => [
  ['mppx, gas paid for', () => mppx.library(berth, payer, { gas: 0n })],
  ['mppx, gas paid for, program', () => mppx.commandLine(berth, payer, { gas: 0n })],
  ['MCP: mppx, gas paid for', () => mcp.mpp(berth, payer, { announces: true, gas: 0n })],
];

const onDevchain = (berth) => [
  ['@x402/fetch on berth-devchain', () => x402.second(berth, newAccount())],
  ['x402-fetch, version 1, on berth-devchain', () => x402.version1(berth, newAccount())],
  ['MCP: x402 on berth-devchain', () => mcp.x402(berth, newAccount())],
];

/** Clients of all contracts at once, on one Berth. */
const ofContracts = (berth) => [
  ['hourly: register, deploy, SSH, backup, restore, fleet, destroy', () => contracts.client(berth, options.contracts, 'hourly', '--ssh')],
  ['instances: host node, forwards, cloud-init, page, stop, start, delete', () => contracts.client(berth, options.contracts, 'instances')],
  ['rentals: pool, invite, rent, a member at work, extend, remove', () => contracts.client(berth, options.contracts, 'rentals')],
  ['deposit, @x402/fetch: create, stop, resize, start, rebuild, delete', () => deposit.life(berth, newAccount())],
];

/** The chain makes no blocks for a while: nobody else pays on it. */
const onSlowChain = (berth) => [['@x402/fetch on a chain that stands still', () => slow.x402(berth, newAccount())]];

async function play(scenes) {
  for (const [name, act] of scenes.filter(([name]) => name.includes(options.only))) {
    const start = Date.now();
    try {
      const said = await act();
      console.log(`ok      ${name}${said ? `: ${said}` : ''} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      console.log(`FAILED  ${name}\n`, error);
      process.exitCode = 1;
    }
  }
}

const inTurn = play;
const atOnce = (scenes) => Promise.all(scenes.map((scene) => play([scene])));

/** Starts a Berth, plays its scenes, and holds its books against the chains. */
async function act(name, chains, scenes, how = inTurn) {
  const berth = await startBerth(name, { program: options.berth, work: options.work, ...chains });
  await how(scenes(berth));
  console.log(`${name}: ${await berth.verify()}`);
}

async function story() {
  const { work, token, devchain: program } = options;
  const [tempo, base, devchain] = await Promise.all([startTempo(work), startBase(work, token), startDevchain(work, program)]);
  await act('both-rails', { tempo, base }, open);
  await Promise.all([
    act('slow-chain', { base }, onSlowChain),
    act('fee-payer', { tempo, environment: { BERTH_MPP_FEE_PAYER_KEY: sponsor.key } }, sponsored).then(() =>
      act('devchain', { devchain }, onDevchain)),
  ]);
  if (options.contracts) await act('contracts', { devchain }, ofContracts, atOnce);
}

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stopAll().then(() => process.exit(1)));
await story().finally(stopAll);
