// A Berth of the story, whose wallets pay on the chains that it is given, and
// the measure of what they pay.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { anvilAccount, newAccount } from './chains.mjs';
import { freePort, run, start } from './programs.mjs';

/** The order that the clients place, and what it costs by the built-in catalog. */
export const order = { size: 'small', region: 'nyc1', minutes: 60 };
export const prices = { create: 35_000n, extend: 10_000n, key: 1_000n };

/**
 * Starts a Berth: {url, data, tempo, base, recipient(chain), operator(…), verify()}. Its
 * recipients are new accounts, to whom nobody else pays.
 */
export async function startBerth(name, { program, work, tempo, base, devchain, environment = {} }) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const data = join(work, name);
  const ofTempo = newAccount().address;
  let ofBase = newAccount().address;
  const env = { BERTH_DATA: data, BERTH_LISTEN: `127.0.0.1:${port}`, BERTH_RATE_LIMIT: '0', ...environment };
  if (tempo) Object.assign(env, { BERTH_MPP_RPC_URL: tempo.url, BERTH_MPP_CHAIN_ID: '42431', BERTH_MPP_RECIPIENT: ofTempo });
  if (base) {
    Object.assign(env, {
      BERTH_X402_RPC_URL: base.url, BERTH_X402_NETWORK: 'eip155:84532', BERTH_X402_ASSET: base.token,
      BERTH_X402_PAY_TO: ofBase, BERTH_X402_SETTLER_KEY: anvilAccount(8).key,
    });
  }
  if (devchain) env.BERTH_DEVCHAIN = devchain.url;
  const ready = async () => {
    const response = await fetch(`${url}/readyz`);
    assert.equal(response.status, 200, await response.text());
  };
  await start(name, program, ['serve'], { work, env, ready });
  if (devchain) ofBase = await asked(url);
  const operator = (...args) => run(program, args, { BERTH_DATA: data });
  return {
    url, data, operator, tempo, base: base ?? devchain,
    recipient: (chain) => (chain === tempo ? ofTempo : ofBase),
    verify: async () => {
      const told = [];
      for (const books of ['verify', 'reconcile']) {
        const { status, stdout, stderr } = await operator('ledger', books);
        assert.equal(status, 0, stdout + stderr);
        told.push(stdout.trim().split('\n'));
      }
      return `the books are right: ${told[0].at(-1)}; ${told[1].filter((line) => / payments? since/.test(line)).join('; ')}`;
    },
  };
}

/** The account that a Berth asks to be paid to over x402. */
async function asked(url) {
  const { accepts } = await read(await fetch(`${url}/v1/servers`, post(order)), 402);
  return accepts[0].payTo;
}

/**
 * Carries out what must cost exactly so much on a chain: the recipient has it
 * afterwards, and the payer has lost it. Where the payer pays for his own gas in
 * the same token, he may have lost a little more.
 */
export async function costs(price, { chain, to, from, gas = 0n }, act) {
  const [had, held] = [await chain.balance(to), await chain.balance(from)];
  const answer = await act();
  assert.equal((await chain.balance(to)) - had, price, 'what the recipient received');
  const lost = held - (await chain.balance(from));
  assert.ok(lost >= price && lost <= price + gas, `the payer lost ${lost} of ${price}`);
  return answer;
}

/** What a response holds, which must have that status. */
export async function read(response, status) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  return JSON.parse(text);
}

/** A request with a JSON body. */
export const post = (body) => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify(body),
});
