// A wallet proves itself once for an API key with a spending cap, and uses the
// key from then on: its account's credit pays, and where that does not suffice,
// the wallet does.
import assert from 'node:assert/strict';
import { costs, order, post, prices, read } from './berth.mjs';
import { ended, payingFetch } from './mppx.mjs';

export async function minted(berth, account, { gas }) {
  const chain = berth.tempo;
  const spent = { chain, to: berth.recipient(chain), from: account.address, gas };
  const wallet = payingFetch(chain, account);
  const made = await costs(0n, spent, () => wallet(`${berth.url}/v1/api-keys`, post({ name: 'agent', budget_total: '0.10' })));
  const { api_key: key, account_id: owner } = await read(made, 201);
  const withKey = (request) => ({ ...request, headers: { ...request.headers, Authorization: `Bearer ${key}` } });
  const poor = await read(await fetch(`${berth.url}/v1/servers`, withKey(post(order))), 402);
  assert.equal(poor.code, 'insufficient_balance');
  // Beside a payment, the key travels in a header of its own.
  const both = (body) => ({ ...post(body), headers: { ...post(body).headers, 'Berth-Key': key } });
  const url = `${berth.url}/v1/servers?wait_seconds=45`;
  const bought = await read(await costs(prices.create, spent, () => wallet(url, both(order))), 201);

  const credit = await berth.operator('account', 'credit', owner, '1.00');
  assert.equal(credit.status, 0, credit.stderr);
  const extend = `${berth.url}/v1/servers/${bought.id}/extend`;
  await read(await costs(0n, spent, () => fetch(extend, withKey(post({ minutes: 10 })))), 200);
  await read(await costs(0n, spent, () => wallet(extend, both({ minutes: 11 }))), 200);
  const much = await read(await fetch(`${berth.url}/v1/servers`, withKey(post({ ...order, minutes: 600 }))), 403);
  assert.equal(much.code, 'budget_exceeded');
  assert.equal((await read(await fetch(`${berth.url}/v1/balance`, withKey({})), 200)).balance, '0.98');
  await ended(berth, (url, init) => fetch(url, withKey(init)), bought.id);
}
