// The public clients of x402: @x402/fetch of version 2, x402-fetch of version 1,
// and sign-in-with-x.
import assert from 'node:assert/strict';
import { registerExactEvmScheme } from '@x402/evm/exact/client';
import { createSIWxClientExtension } from '@x402/extensions/sign-in-with-x';
import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { createWalletClient, http } from 'viem';
import * as first from 'x402-fetch';
import { costs, order, post, prices, read } from './berth.mjs';
import { ended } from './mppx.mjs';

/** Version 2's client, with its own limits on what it spends. */
export function client(account) {
  const made = new x402Client();
  registerExactEvmScheme(made, { signer: account });
  return made;
}

/** A fetch that pays by version 2, and signs in where that is asked for. */
export function payingFetch(account) {
  const made = client(account);
  made.registerExtension(createSIWxClientExtension({ signers: [account] }));
  return wrapFetchWithPayment(globalThis.fetch, made);
}

/** Whether a transfer is on the chain, as its settlement says. */
async function settled(chain, settlement, account, network) {
  assert.equal(settlement.success, true);
  assert.equal(settlement.network, network);
  assert.equal(settlement.payer.toLowerCase(), account.address.toLowerCase());
  const { status } = await chain.client.getTransactionReceipt({ hash: settlement.transaction });
  assert.equal(status, 'success');
}

export async function second(berth, account) {
  const chain = berth.base;
  await chain.fund(account.address);
  const spent = { chain, to: berth.recipient(chain), from: account.address };
  const fetch = wrapFetchWithPayment(globalThis.fetch, client(account));
  const paid = async (price, path, body, status) => {
    const response = await costs(price, spent, () => fetch(berth.url + path, post(body)));
    const answer = await read(response, status);
    await settled(chain, decodePaymentResponseHeader(response.headers.get('PAYMENT-RESPONSE')), account, 'eip155:84532');
    return answer;
  };
  const server = await paid(prices.create, '/v1/servers?wait_seconds=45', order, 201);
  await paid(prices.extend, `/v1/servers/${server.id}/extend`, { minutes: 10 }, 200);
  await streamed(berth, account, payingFetch(account), server.id);
  await signIn(berth, account, [server.id]);
  await ended(berth, payingFetch(account), server.id);
}

/** An answer that comes as a stream of events has its settlement too. The client signs in first, which is not enough. */
async function streamed(berth, account, fetch, id) {
  const spent = { chain: berth.base, to: berth.recipient(berth.base), from: account.address };
  const request = post({ minutes: 11 });
  request.headers.Accept = 'text/event-stream';
  const response = await costs(prices.extend, spent, () => fetch(`${berth.url}/v1/servers/${id}/extend`, request));
  const text = await response.text();
  assert.match(text, /^event: result$/m);
  await settled(berth.base, decodePaymentResponseHeader(response.headers.get('PAYMENT-RESPONSE')), account, 'eip155:84532');
}

/** Version 1 reads the body of the 402 and pays at most 0.10 USD by itself. */
export async function version1(berth, account) {
  const chain = berth.base;
  await chain.fund(account.address);
  const spent = { chain, to: berth.recipient(chain), from: account.address };
  const wallet = createWalletClient({ account, chain: chain.chain, transport: http(chain.url) });
  const fetch = first.wrapFetchWithPayment(globalThis.fetch, wallet);
  const response = await costs(prices.create, spent, () => fetch(`${berth.url}/v1/servers`, post(order)));
  const server = await read(response, 201);
  await settled(chain, first.decodeXPaymentResponse(response.headers.get('X-PAYMENT-RESPONSE')), account, 'base-sepolia');
  await ended(berth, payingFetch(account), server.id);
}

/** A wallet signs in, which moves nothing, and sees its own servers. */
export async function signIn(berth, account, ids = []) {
  const chain = berth.base;
  const spent = { chain, to: berth.recipient(chain), from: account.address };
  const response = await costs(0n, spent, () => payingFetch(account)(`${berth.url}/v1/servers`));
  assert.deepEqual((await read(response, 200)).servers.map((s) => s.id), ids);
}
