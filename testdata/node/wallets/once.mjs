// One signed request, sent eight times at once, and once again later: it is paid
// and carried out once, and all of them read the same answer.
import assert from 'node:assert/strict';
import { x402HTTPClient } from '@x402/core/client';
import { Challenge } from 'mppx';
import { costs, order, post, prices, read } from './berth.mjs';
import { charge, ended, payingFetch as mppFetch } from './mppx.mjs';
import { client, payingFetch as x402Fetch } from './x402.mjs';

/** Asks without a payment, for what there is to pay. */
async function asked(berth) {
  const response = await fetch(`${berth.url}/v1/servers`, post(order));
  return { response, body: await read(response, 402) };
}

async function eightTimes(berth, headers, spent) {
  const request = post(order);
  Object.assign(request.headers, headers);
  const answers = await costs(prices.create, spent, async () => {
    const responses = await Promise.all(Array.from({ length: 8 }, () => fetch(`${berth.url}/v1/servers`, request)));
    return Promise.all(responses.map((r) => read(r, 201)));
  });
  answers.push(await costs(0n, spent, async () => read(await fetch(`${berth.url}/v1/servers`, request), 201)));
  const ids = new Set(answers.map((a) => a.id));
  assert.equal(ids.size, 1, `${ids.size} servers were made`);
  const other = { ...request, body: JSON.stringify({ ...order, minutes: 61 }) };
  await costs(0n, spent, async () => read(await fetch(`${berth.url}/v1/servers`, other), 402));
  return [...ids];
}

export async function mpp(berth, account, { gas }) {
  const chain = berth.tempo;
  const { response } = await asked(berth);
  const challenge = Challenge.fromResponse(response);
  const credential = await charge(chain, account).createCredential({ challenge, context: {} });
  const spent = { chain, to: berth.recipient(chain), from: account.address, gas };
  const ids = await eightTimes(berth, { Authorization: credential }, spent);
  await owns(berth, mppFetch(chain, account), ids);
}

export async function x402(berth, account) {
  const chain = berth.base;
  await chain.fund(account.address);
  const http = new x402HTTPClient(client(account));
  const { response, body } = await asked(berth);
  const demand = http.getPaymentRequiredResponse((name) => response.headers.get(name), body);
  const headers = http.encodePaymentSignatureHeader(await http.createPaymentPayload(demand));
  const spent = { chain, to: berth.recipient(chain), from: account.address };
  const ids = await eightTimes(berth, headers, spent);
  await owns(berth, x402Fetch(account), ids);
}

async function owns(berth, fetch, ids) {
  const { servers } = await read(await fetch(`${berth.url}/v1/servers`), 200);
  assert.deepEqual(servers.map((s) => s.id), ids);
  for (const id of ids) await ended(berth, fetch, id);
}
