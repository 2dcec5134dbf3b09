// The transports that a client can reach an MCP server by.
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

/**
 * Opens the transport that the options name. A stdio target is a shell command,
 * any other a URL; headers are lines such as 'Authorization: Bearer …'.
 */
export function openTransport({ transport, target, header = [] }) {
  const requestInit = {
    headers: Object.fromEntries(header.map((line) => line.split(/:\s*/, 2))),
  };
  switch (transport) {
    case 'stdio':
      return new StdioClientTransport({
        command: '/bin/sh',
        args: ['-c', `exec ${target}`],
        env: process.env,
        stderr: 'inherit',
      });
    case 'http':
      return new StreamableHTTPClientTransport(new URL(target), { requestInit });
    case 'sse':
      return new SSEClientTransport(new URL(target), { requestInit });
    default:
      throw new Error(`no transport ${transport}; use stdio, http or sse`);
  }
}
