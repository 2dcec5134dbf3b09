// The whole life of a server that lives on a deposit, by a public client of x402:
// create, poll, stop, resize, start, rebuild, delete with a refund.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { wrapFetchWithPayment } from '@x402/fetch';
import { costs, post, read } from './berth.mjs';
import { client } from './x402.mjs';

const order = { name: 'web', type: 'small', image: 'ubuntu-24.04', location: 'nyc3' };

/** An amount of the contract's in millionths. */
function micros(text) {
  const [, sign, whole, part = ''] = /^(-?)(\d+)(?:\.(\d{1,6}))?$/.exec(text);
  return BigInt(`${sign}${whole}${part.padEnd(6, '0')}`);
}

export async function life(berth, account) {
  const chain = berth.base;
  await chain.fund(account.address);
  const spent = { chain, to: berth.recipient(chain), from: account.address };
  const base = `${berth.url}/deposit`;
  const { routes, network } = await read(await fetch(`${base}/pricing`), 200);
  assert.equal(network, 'eip155:84532');
  const listed = (method, path) => {
    const route = routes.find((r) => r.method === method && r.path === path);
    assert.ok(route, `${method} ${path} has no price`);
    return micros(route.price_usdc);
  };
  const paying = wrapFetchWithPayment(globalThis.fetch, client(account));

  /** Pays for a request exactly what it is listed for, and extra. */
  const paid = (method, path, { id = '', body, status = 200, extra = 0n } = {}) =>
    costs(listed(method, path) + extra, spent, async () => {
      const request = body ? { ...post(body), method } : { method };
      return read(await paying(base + path.replace(':id', id), request), status);
    });
  const becomes = async (id, field, wanted) => {
    for (let tries = 0; tries < 120; tries++) {
      const server = await paid('GET', '/v1/servers/:id', { id });
      if (server[field] === wanted) return server;
      assert.notEqual(server.status, 'error');
      await sleep(200);
    }
    throw new Error(`${field} is not ${wanted} in time`);
  };
  /** Repeats what is refused while other work is under way. */
  const change = async (method, path, id, body) => {
    for (let tries = 0; ; tries++) {
      try {
        return await paid(method, path, { id, body });
      } catch (error) {
        if (tries > 120 || !/"invalid_request".*under way/.test(error.message)) throw error;
        await sleep(250);
      }
    }
  };

  const created = await paid('POST', '/v1/servers', { body: order, status: 201, extra: 960_000n });
  assert.equal(created.deposit_charged, '0.96');
  assert.equal(created.server.status, 'initializing');
  assert.equal(created.server.owner_wallet.toLowerCase(), account.address.toLowerCase());
  const { id } = created.server;
  const running = await becomes(id, 'status', 'running');
  assert.match(running.public_net.ipv4.ip, /^\d+(\.\d+){3}$/);
  const { servers, meta } = await paid('GET', '/v1/servers');
  assert.deepEqual([servers.map((s) => s.id), meta.total], [[id], 1]);

  const stop = await change('POST', '/v1/servers/:id/stop', id);
  assert.equal(stop.action.command, 'stop');
  await becomes(id, 'status', 'off');
  const resized = await resize(id, 'medium');
  assert.ok(micros(resized.deposit_delta) > 0n, `the larger size takes ${resized.deposit_delta}`);
  await becomes(id, 'type', 'medium');
  await change('POST', '/v1/servers/:id/start', id);
  await becomes(id, 'status', 'running');
  const rebuilt = await change('POST', '/v1/servers/:id/rebuild', id, { image: 'debian-12' });
  assert.ok(rebuilt.root_password?.length > 10, 'a server without keys has a password');

  const { status, deposit_refunded: refund } = await change('DELETE', '/v1/servers/:id', id);
  assert.equal(status, 'deleted');
  const charged = 960_000n + micros(resized.deposit_delta);
  assert.ok(micros(refund) > 0n && micros(refund) < charged, `${refund} of ${charged} returned`);
  await becomes(id, 'status', 'deleted');
  assert.deepEqual((await paid('GET', '/v1/servers')).servers, []);
  return `deposit ${charged} units, ${micros(refund)} returned`;

  /** What a resize costs is known when it is asked for: the price, and what the deposit lacks. */
  async function resize(server, type) {
    for (let tries = 0; ; tries++) {
      const had = await chain.balance(spent.to);
      const response = await paying(`${base}/v1/servers/${server}/resize`, post({ type }));
      if (response.status === 400 && tries < 60) {
        await sleep(250); // the stop is still at its end
        continue;
      }
      const answer = await read(response, 200);
      const price = listed('POST', '/v1/servers/:id/resize') + micros(answer.deposit_delta);
      assert.equal((await chain.balance(spent.to)) - had, price, 'what the resize cost');
      return answer;
    }
  }
}
