// Wallets over MCP with the official SDK: mppx's wrapper of its client, x402 with
// @x402/core's signer, and a host that has no wallet.
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpClient } from 'mppx/mcp/client';
import { costs, order, prices } from './berth.mjs';
import { charge } from './mppx.mjs';
import { client as signer } from './x402.mjs';

const now = { ...order, wait_seconds: 0 };

/** Connects, does the work, and closes the connection. */
async function connected(berth, capabilities, act) {
  const client = new Client({ name: 'berth-wallet', version: '1.0.0' }, { capabilities });
  const problems = [];
  client.onerror = (error) => problems.push(String(error));
  await client.connect(new StreamableHTTPClientTransport(new URL(`${berth.url}/mcp?toolsets=all`)));
  try {
    await act(client);
  } finally {
    await client.close();
  }
  assert.deepEqual(problems, []);
}

/** The answer of a tool that must have succeeded, the same as structure and as text. */
function answer(result) {
  assert.ok(!result.isError, result.content[0].text);
  assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
  return result.structuredContent;
}

/**
 * mppx's client. One that announces payments is asked by the protocol's error
 * -32042, any other by the tool's result.
 */
export async function mpp(berth, account, { announces, gas }) {
  const chain = berth.tempo;
  const capabilities = announces ? { experimental: { payment: {} } } : {};
  await connected(berth, capabilities, async (client) => {
    await client.listTools();
    const asked = client.callTool({ name: 'create_server', arguments: now });
    if (announces) {
      await assert.rejects(asked, (error) => error.code === -32042 && error.data.challenges.length === 1 && Boolean(error.data.x402) === Boolean(berth.base));
    } else {
      const result = await asked;
      assert.equal(result.isError, true);
      assert.equal(result._meta['org.paymentauth/payment-required'].challenges.length, 1);
    }
    McpClient.wrap(client, { methods: [charge(chain, account)] });
    const spent = { chain, to: berth.recipient(chain), from: account.address, gas };
    const bought = await costs(prices.create, spent, () => client.callTool({ name: 'create_server', arguments: now }));
    const server = answer(bought);
    const { status } = await chain.client.getTransactionReceipt({ hash: bought.receipt.reference });
    assert.equal(status, 'success');
    assert.ok(bought.receipt.challengeId);
    const listed = await costs(0n, spent, () => client.callTool({ name: 'list_servers', arguments: {} }));
    assert.ok(answer(listed).servers.some((s) => s.id === server.id));
    assert.equal(listed.receipt.status, 'success', 'a proof has its receipt');
    answer(await costs(0n, spent, () => client.callTool({ name: 'destroy_server', arguments: { server_id: server.id } })));
  });
}

/**
 * A call that pays over x402 where it is asked to, as x402's transport for MCP
 * has it: the demand in the result, the payment in _meta.
 */
async function paying(client, account, call) {
  const first = await client.callTool(call);
  assert.equal(first.isError, true);
  assert.deepEqual(JSON.parse(first.content[0].text), first.structuredContent);
  assert.equal(first.structuredContent.resource.url, `mcp://tool/${call.name}`);
  const payment = await signer(account).createPaymentPayload(first.structuredContent);
  return client.callTool({ ...call, _meta: { 'x402/payment': payment } });
}

export async function x402(berth, account) {
  const chain = berth.base;
  await chain.fund(account.address);
  await connected(berth, {}, async (client) => {
    await client.listTools(); // by whose schemas the SDK judges results from now on
    const spent = { chain, to: berth.recipient(chain), from: account.address };
    const bought = await costs(prices.create, spent, () => paying(client, account, { name: 'create_server', arguments: order }));
    const server = answer(bought);
    const settlement = bought._meta['x402/payment-response'];
    assert.equal(settlement.success, true);
    const { status } = await chain.client.getTransactionReceipt({ hash: settlement.transaction });
    assert.equal(status, 'success');
    const call = { name: 'extend', arguments: { id: server.id, minutes: 10 } };
    answer(await costs(prices.extend, spent, () => paying(client, account, call)));
  });
}

/** A host without a wallet reads what it would have to do, before and after it listed the tools. */
export async function without(berth) {
  await connected(berth, {}, async (client) => {
    for (const listed of [false, true]) {
      if (listed) await client.listTools();
      for (const [name, args] of [['create_server', now], ['list_servers', {}]]) {
        const result = await client.callTool({ name, arguments: args });
        assert.equal(result.isError, true);
        assert.match(result.content[0].text, /API key/);
        assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
      }
    }
    answer(await client.callTool({ name: 'list_regions', arguments: {} }));
  });
}
