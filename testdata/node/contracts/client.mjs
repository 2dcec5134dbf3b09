// What the scripted clients of the contracts share: a JSON client, exact money,
// waiting, and OpenSSH. Node 18 or later; no packages.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long anything may take, in milliseconds, and how often it is looked at. */
const patience = 300_000;
const pause = 1_000;

/** A failed check. */
export class Mismatch extends Error {}

/** Fails unless it holds. */
export function check(holds, what) {
  if (!holds) throw new Mismatch(what);
}

/** Fails unless two values are the same in JSON. */
export function same(got, want, what) {
  check(JSON.stringify(got) === JSON.stringify(want), `${what}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

/** Fails unless an object has all of these fields. */
export function fields(object, ...names) {
  for (const name of names) check(object && name in object, `${name} is missing in ${JSON.stringify(object)}`);
  return object;
}

/** Runs a script's steps; prints what went wrong, and sets the exit status. */
export async function story(name, steps) {
  const began = Date.now();
  try {
    await steps((line) => console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${line}`));
    console.log(`${name}: all is as documented`);
  } catch (error) {
    console.error(`${name}: FAILED: ${error instanceof Mismatch ? error.message : error.stack}`);
    process.exitCode = 1;
  }
}

/** A client of JSON over HTTP. */
export class Client {
  /** renew, where given, gets a fresh token after a 401; the request is then repeated once. */
  constructor(base, { token, renew } = {}) {
    Object.assign(this, { base: base.replace(/\/$/, ''), token, renew });
  }

  /** Sends a request, which has to be answered with a status, and returns the answer's body. */
  async call(status, method, path, body) {
    let response = await this.send(method, path, body);
    if (response.status === 401 && status !== 401 && this.renew) {
      this.token = await this.renew();
      response = await this.send(method, path, body);
    }
    const text = await response.text();
    check(response.status === status, `${method} ${path}: ${response.status}, want ${status}: ${text}`);
    check(/^application\/(problem\+)?json/.test(response.headers.get('content-type') ?? ''), `${method} ${path}: no JSON`);
    return text ? JSON.parse(text) : undefined;
  }

  /** Sends a request; on 429 it waits and tries again. */
  async send(method, path, body) {
    const headers = {};
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    for (let tries = 0; ; tries++) {
      const response = await fetch(this.base + path, {
        method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: AbortSignal.timeout(90_000),
      });
      if (response.status !== 429 || tries === 5) return response;
      await response.text();
      await sleep(1000 * (Number(response.headers.get('retry-after') ?? 1) + 2 ** tries));
    }
  }
}

/** Looks again and again until there is something, and returns that. */
export async function until(what, look) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    check(Date.now() < end, `waited in vain until ${what}`);
    await sleep(pause);
  }
}

/** A decimal string of dollars in micro-dollars, exactly. */
export function micros(text) {
  check(typeof text === 'string' && /^-?\d+(\.\d{1,6})?$/.test(text), `${JSON.stringify(text)} is no amount as a decimal string`);
  const [, sign, whole, part = ''] = text.match(/^(-?)(\d+)(?:\.(\d+))?$/);
  return BigInt(`${sign}${whole}${part.padEnd(6, '0')}`);
}

/** Micro-dollars as dollars. */
export function dollars(amount) {
  const digits = String(amount < 0n ? -amount : amount).padStart(7, '0');
  return `${amount < 0n ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6)}`;
}

/** A key pair for OpenSSH: {public, run(address, port, command), remove()}. */
export async function keyPair() {
  const folder = await mkdtemp(join(tmpdir(), 'berth-ssh-'));
  const key = join(folder, 'key');
  await program('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'scripted-client', '-f', key]);
  const options = [
    '-F', 'none', '-i', key, '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-o', 'ConnectTimeout=20',
    '-o', 'StrictHostKeyChecking=accept-new', '-o', `UserKnownHostsFile=${join(folder, 'known_hosts')}`, '-o', 'LogLevel=ERROR',
  ];
  return {
    public: (await readFile(`${key}.pub`, 'utf8')).trim(),
    /** Runs a command as root and returns what it printed. */
    run: (address, port, command) => program('ssh', [...options, '-p', String(port), `root@${address}`, command]),
    remove: () => rm(folder, { recursive: true }),
  };
}

/** Runs a program that has to end well, and returns what it printed. */
function program(name, args) {
  return new Promise((resolve, reject) => {
    execFile(name, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      if (error) reject(new Mismatch(`${name}: ${error.message} ${stderr}`));
      else resolve(stdout);
    });
  });
}
