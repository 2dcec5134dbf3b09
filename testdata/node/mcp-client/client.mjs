// Connects to an MCP server with the official SDK, lists its tools, calls one
// tool with a progress token, and prints one JSON object:
//   {server, tools: [names], progress: [{progress, total, message}], late, result | error}
// late counts the progress messages that came after the result; it must be 0.
//
//   node client.mjs --transport stdio --target './berth mcp'
//   node client.mjs --transport http --target http://127.0.0.1:8080/mcp --header 'Authorization: Bearer berth_…' \
//     --call create_server --args '{"region":"nyc1"}'
//
// --repeat N makes the call N times in turn, --parallel N as many at once.
import { parseArgs } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { openTransport } from './transport.mjs';

const { values: options } = parseArgs({
  options: {
    transport: { type: 'string', default: 'stdio' },
    target: { type: 'string' },
    header: { type: 'string', multiple: true, default: [] },
    call: { type: 'string' },
    args: { type: 'string', default: '{}' },
    repeat: { type: 'string', default: '1' },
    parallel: { type: 'string', default: '1' },
    timeout: { type: 'string', default: '60000' },
  },
});

/** Makes one call and resolves to what came of it. */
async function callTool(client) {
  const outcome = { progress: [], late: 0 };
  let done = false;
  try {
    outcome.result = await client.callTool(
      { name: options.call, arguments: JSON.parse(options.args) },
      undefined,
      {
        timeout: Number(options.timeout),
        resetTimeoutOnProgress: true,
        onprogress: (p) => (done ? outcome.late++ : outcome.progress.push(p)),
      },
    );
  } catch (error) {
    outcome.error = String(error);
  }
  done = true;
  return outcome;
}

/** Connects, lists, calls, and returns the report. */
async function run() {
  const client = new Client({ name: 'berth-test', version: '1.0.0' });
  // The SDK reports progress for a call that is already over as an error.
  const errors = { count: 0, first: [] }; // the first five
  client.onerror = (error) => {
    if (errors.count++ < 5) errors.first.push(String(error));
  };
  await client.connect(openTransport(options));
  const report = { server: client.getServerVersion(), tools: [] };
  for (let cursor; ; ) {
    const page = await client.listTools({ cursor });
    report.tools.push(...page.tools.map((tool) => tool.name));
    if (!(cursor = page.nextCursor)) break;
  }
  if (options.call) {
    const outcomes = [];
    for (let i = 0; i < Number(options.repeat); i++) {
      outcomes.push(...(await Promise.all(Array.from({ length: Number(options.parallel) }, () => callTool(client)))));
    }
    if (outcomes.length === 1) Object.assign(report, outcomes[0]);
    else report.calls = outcomes;
  }
  await client.close();
  if (errors.count) report.errors = errors;
  return report;
}

const report = await run();
console.log(JSON.stringify(report, null, 2));
const failed = report.error || report.calls?.some((c) => c.error);
process.exitCode = failed ? 1 : 0;
