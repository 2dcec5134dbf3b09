// A payment whose transaction stays unconfirmed: Berth answers that it is on its
// way, the client does not sign again, and the same request has its server later.
import assert from 'node:assert/strict';
import { wrapFetchWithPayment } from '@x402/fetch';
import { costs, order, post, prices, read } from './berth.mjs';
import { ended } from './mppx.mjs';
import { pause } from './programs.mjs';
import { client, payingFetch } from './x402.mjs';

/** The chain makes no blocks meanwhile, so nobody else can use it. */
export async function x402(berth, account) {
  const chain = berth.base;
  await chain.fund(account.address);
  const spent = { chain, to: berth.recipient(chain), from: account.address };
  const sent = [];
  const fetch = wrapFetchWithPayment((request) => {
    sent.push(request.clone());
    return globalThis.fetch(request);
  }, client(account));

  await chain.client.setAutomine(false);
  const first = await costs(0n, spent, () => fetch(`${berth.url}/v1/servers`, post(order)));
  const answer = await read(first, 202);
  assert.equal(answer.code, 'payment_pending');
  assert.ok(Number(first.headers.get('Retry-After')) > 0);
  assert.equal(first.headers.get('PAYMENT-REQUIRED'), null, 'it asks for another payment');
  assert.deepEqual(sent.map((r) => r.headers.has('PAYMENT-SIGNATURE')), [false, true], 'the client signed once');

  const bought = await costs(prices.create, spent, async () => {
    await chain.client.setAutomine(true); // which mines what waits
    for (const limit = Date.now() + 30_000; ; await pause(500)) {
      const again = await globalThis.fetch(sent[1].clone());
      if (again.status !== 202 || Date.now() > limit) return read(again, 201);
      await again.body.cancel();
    }
  });
  await ended(berth, payingFetch(account), bought.id);
}
