// The clients of the other contracts, each a program that knows a base URL alone.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { run } from './programs.mjs';

/** Runs a contract's client against a Berth, and tells what it said last. */
export async function client(berth, folder, name, ...args) {
  const { status, stdout, stderr } = await run('node', [join(folder, `${name}.mjs`), '--base', berth.url, ...args], {}, 300_000);
  assert.equal(status, 0, `${name}: ${status}\n${stdout}${stderr}`);
  return stdout.trim().split('\n').at(-1);
}
