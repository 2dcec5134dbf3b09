// The programs of the story: chains and Berths, each on a free port, with its
// output in a file. All of them end with the story.
import { spawn } from 'node:child_process';
import { closeSync, createWriteStream, mkdirSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const running = [];
// However the story ends, nothing of it stays behind.
process.on('exit', () => running.forEach(({ child }) => child.kill('SIGTERM')));

/** A port that nobody listens on at the moment. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/**
 * Starts a program and resolves when ready() does not throw any more. A program
 * that ends before, or is not ready in a minute, is an error that shows its log.
 */
export async function start(name, command, args, { work, env = {}, ready }) {
  mkdirSync(work, { recursive: true });
  const log = join(work, `${name}.log`);
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const file = createWriteStream(log);
  child.stdout.pipe(file, { end: false });
  child.stderr.pipe(file, { end: false });
  const ended = new Promise((resolve) => {
    child.on('exit', resolve);
    child.on('error', resolve);
  });
  running.push({ child, ended });
  for (const limit = Date.now() + 60_000; ; await pause(50)) {
    let problem;
    try {
      return await ready();
    } catch (error) {
      problem = error;
    }
    if (child.exitCode !== null || child.pid === undefined || Date.now() > limit) {
      throw new Error(`${name} does not come up: ${problem}\n${await readFile(log, 'utf8')}`);
    }
  }
}

/** Ends the programs, those that were started last first. */
export async function stopAll() {
  while (running.length > 0) {
    const { child, ended } = running.pop();
    if (child.exitCode !== null || child.pid === undefined) continue;
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(late);
  }
}

/**
 * Runs a program to its end and resolves to {status, stdout, stderr}. Its output
 * goes through files: a program that exits at once would cut it short in a pipe.
 */
export async function run(command, args, env = {}, timeout = 90_000) {
  const folder = await mkdtemp(join(tmpdir(), 'berth-run-'));
  const [out, err] = [join(folder, 'out'), join(folder, 'err')];
  const files = [openSync(out, 'w'), openSync(err, 'w')];
  try {
    const status = await new Promise((resolve, reject) => {
      const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', ...files], timeout });
      child.on('error', reject);
      child.on('close', resolve);
    });
    return { status, stdout: await readFile(out, 'utf8'), stderr: await readFile(err, 'utf8') };
  } finally {
    files.forEach(closeSync);
    await rm(folder, { recursive: true });
  }
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
