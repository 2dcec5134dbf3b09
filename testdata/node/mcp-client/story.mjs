// Does an agent's work on Berth with the official SDK, and checks that every
// long call tells how far it is before it answers: create, exec, snapshot,
// resize, destroy. Prints a line for each call; the exit status is 0 if all is
// as it must be.
//
//   node story.mjs --transport stdio --target './berth mcp'
//   node story.mjs --transport sse --target http://127.0.0.1:8080/sse --header 'Authorization: Bearer berth_…'
//
// --no-shells leaves out what logs in to the server.
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { openTransport } from './transport.mjs';

const { values: options } = parseArgs({
  options: {
    transport: { type: 'string', default: 'stdio' },
    target: { type: 'string' },
    header: { type: 'string', multiple: true, default: [] },
    'no-shells': { type: 'boolean', default: false },
  },
});

const client = new Client({ name: 'berth-story', version: '1.0.0' });
// The SDK reports progress for a call that is already over as an error.
const errors = [];
client.onerror = (error) => errors.push(String(error));

/**
 * Calls a tool that must succeed and resolves to its answer and the messages of
 * its progress, of which there must be at least so many, growing.
 */
async function call(name, args, least) {
  const progress = [];
  const request = { timeout: 60_000, resetTimeoutOnProgress: true, onprogress: (p) => progress.push(p) };
  const result = await client.callTool({ name, arguments: args }, undefined, request);
  assert.ok(!result.isError, `${name}: ${result.content[0]?.text}`);
  assert.ok(progress.length >= least, `${name}: ${progress.length} progress messages, not ${least}`);
  for (let i = 1; i < progress.length; i++) {
    assert.ok(progress[i].progress > progress[i - 1].progress, `${name}: progress does not grow`);
  }
  console.log(`${name}: ${progress.length} progress messages`);
  return { answer: result.structuredContent, messages: progress.map((p) => p.message) };
}

async function story() {
  const { tools } = await client.listTools();
  for (const name of ['create_server', 'extend', 'snapshot', 'ssh_exec', 'list_regions']) {
    assert.ok(tools.some((tool) => tool.name === name), `${name} is not among the tools`);
  }
  const order = { size: 'small', region: 'nyc1', minutes: 5 };
  const { answer: server, messages } = await call('create_server', order, 4);
  assert.equal(server.status, 'active');
  assert.deepEqual(messages.map((m) => m.split(': ')[1]), ['paid', 'requested', 'booting', 'address', 'ssh ready']);
  const server_id = server.id;
  if (!options['no-shells']) {
    const command = 'for i in 1 2 3; do echo $i; sleep 0.3; done';
    const { answer, messages: pieces } = await call('ssh_exec', { server_id, command }, 2);
    assert.equal(answer.exit_code, 0);
    assert.equal(answer.stdout.text, '1\n2\n3\n');
    assert.equal(pieces.join(''), '1\n2\n3\n', 'what streamed is not what was printed');
  }
  await call('snapshot', { server_id }, 2);
  await call('resize_server', { server_id, size: 'medium' }, 2);
  const { answer: end } = await call('destroy_server', { server_id }, 2);
  assert.equal(end.status, 'destroyed');
  assert.deepEqual(errors, []);
}

await client.connect(openTransport(options));
await story().finally(() => client.close());
