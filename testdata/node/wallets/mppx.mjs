// mppx, the reference client of MPP: its library's fetch proves who it is, buys,
// extends, and gets a key; its program buys, over either rail.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Receipt } from 'mppx';
import { Mppx, tempo } from 'mppx/client';
import { createClient, http } from 'viem';
import { costs, order, post, prices, read } from './berth.mjs';
import { run } from './programs.mjs';

/** mppx's method of payment, on a local chain. */
export const charge = (chain, account) =>
  tempo.charge({ account, getClient: () => createClient({ account, chain: chain.chain, transport: http(chain.url) }) });

/** A fetch that pays from the account. */
export const payingFetch = (chain, account) => Mppx.create({ methods: [charge(chain, account)], polyfill: false }).fetch;

/** gas is what the payer may spend on it, in the token's units. */
export async function library(berth, account, { gas }) {
  const chain = berth.tempo;
  const fetch = payingFetch(chain, account);
  const spent = { chain, to: berth.recipient(chain), from: account.address, gas };
  const paid = async (price, path, body, status) => {
    const response = await costs(price, spent, () => fetch(berth.url + path, post(body)));
    const answer = await read(response, status);
    const receipt = Receipt.fromResponse(response);
    const { status: mined } = await chain.client.getTransactionReceipt({ hash: receipt.reference });
    assert.equal(mined, 'success');
    assert.equal(response.headers.get('cache-control'), 'private');
    return answer;
  };
  const before = await costs(0n, spent, () => fetch(`${berth.url}/v1/servers`));
  assert.deepEqual((await read(before, 200)).servers, []);
  assert.equal(Receipt.fromResponse(before).status, 'success', 'a proof has its receipt');

  const server = await paid(prices.create, '/v1/servers?wait_seconds=45', order, 201);
  await paid(prices.extend, `/v1/servers/${server.id}/extend`, { minutes: 10 }, 200);
  await paid(prices.key, '/v1/keys', { name: 'mine', public_key: publicKey }, 201);
  const after = await read(await fetch(`${berth.url}/v1/servers`), 200);
  assert.deepEqual(after.servers.map((s) => s.id), [server.id]);
  await ended(berth, fetch, server.id);
}

const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl wallet';

/** Destroys a server, which costs nothing. */
export async function ended(berth, fetch, id) {
  const response = await fetch(`${berth.url}/v1/servers/${id}`, { method: 'DELETE' });
  assert.ok(response.ok, await response.text());
}

const program = join(dirname(createRequire(import.meta.url).resolve('mppx')), 'bin.js');

/** The program, which is told nothing but the key, the chain's address, and the protocol where it has a choice. */
async function bought(berth, chain, account, gas, ...options) {
  const environment = { MPPX_PRIVATE_KEY: account.key, MPPX_RPC_URL: chain.url };
  const spent = { chain, to: berth.recipient(chain), from: account.address, gas };
  const buy = [program, `${berth.url}/v1/servers`, '-J', JSON.stringify(order), '--silent', '--fail', ...options];
  const { status, stdout, stderr } = await costs(prices.create, spent, () => run(process.execPath, buy, environment));
  assert.equal(status, 0, stdout + stderr);
  return JSON.parse(stdout).id;
}

export async function commandLine(berth, account, { gas }) {
  const id = await bought(berth, berth.tempo, account, gas);
  await ended(berth, payingFetch(berth.tempo, account), id);
}

export async function commandLineX402(berth, account) {
  await berth.base.fund(account.address);
  const id = await bought(berth, berth.base, account, 0n, '--protocol', 'x402');
  await ended(berth, payingFetch(berth.tempo, account), id); // one wallet, whatever it pays over
}

/**
 * The program's validator of servers, which reads the documents, probes each
 * endpoint that they name, and buys.
 */
export async function validator(berth, account) {
  const environment = {
    MPPX_PRIVATE_KEY: account.key, MPPX_RPC_URL: berth.tempo.url, MPPX_CONFIG: fileURLToPath(new URL('mppx.config.mjs', import.meta.url)),
  };
  const { stdout, stderr } = await run(process.execPath, [program, 'validate', berth.url, '--yes', '--output-json'], environment);
  const found = JSON.parse(stdout.slice(stdout.indexOf('{')) || assert.fail(stderr));
  const results = [...found.discovery.checks];
  for (const e of found.endpoints) {
    const all = [...e.challenge, ...e.errorHandling, ...e.payment].map((r) => ({ ...r, at: `${e.method} ${e.path}` }));
    // It asks for what is not there, such as /v1/servers/{id}, and wants a receipt
    // for that too. Receipts are for answers of 200 to 299 alone.
    const missed = all.some((r) => r.label === 'Payment: post-payment response');
    results.push(...all.filter((r) => !(missed && r.label === 'Payment-Receipt header present')));
  }
  assert.deepEqual(results.filter((r) => r.severity === 'fail'), []);
  assert.ok(results.some((r) => r.label === 'Payment: successful'), 'it paid nowhere');
  return `${found.endpoints.length} endpoints, ${found.summary.passed} checks passed, ${found.summary.warnings} warnings, ${found.summary.skipped} skipped`;
}
