// A client of the contract of servers by the hour goes through its whole story:
// register, deploy, SSH, backup, restore, a fleet, destroy. It knows a base URL
// and nothing else, and checks each answer and the money to the last digit.
//
//   node hourly.mjs --base http://127.0.0.1:8080 [--ssh]
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { check, Client, dollars, fields, keyPair, micros, same, story, until } from './client.mjs';

const { values: options } = parseArgs({
  options: {
    base: { type: 'string' },
    ssh: { type: 'boolean', default: false }, // log in to the servers with OpenSSH
  },
});
check(options.base, 'usage: node hourly.mjs --base URL [--ssh]');

const plan = { planId: 'vc2-1c-1gb', regionId: 'ams' };
const who = { email: `agent-${randomBytes(6).toString('hex')}@example.com`, password: randomBytes(12).toString('hex') };
const client = new Client(options.base);
client.renew = async () => (await new Client(options.base).call(200, 'POST', '/auth/login', who)).accessToken;

/** What every server object has. */
const shape = ['id', 'label', 'status', 'region', 'plan', 'ipv4', 'hourlyPrice', 'createdAt'];

/** Polls a server until it has a status. */
const becomes = (id, status) => until(`${id} is ${status}`, async () => {
  const { server } = await client.call(200, 'GET', `/servers/${id}`);
  check(server.status === status || server.status !== 'ERROR', `${id} has failed: ${JSON.stringify(server)}`);
  return server.status === status && server;
});

/** Destroys servers and waits until they are gone. */
async function destroy(...ids) {
  for (const id of ids) same(await client.call(202, 'DELETE', `/servers/${id}`), { ok: true }, 'DELETE /servers/:id');
  for (const id of ids) await becomes(id, 'DESTROYED');
}

/** What the servers cost per hour, by /billing and by their own prices. */
async function spend() {
  const { servers } = await client.call(200, 'GET', '/servers');
  const own = servers.reduce((sum, s) => sum + micros(s.hourlyPrice), 0n);
  const { hourlySpend } = fields(await client.call(200, 'GET', '/billing'), 'balance', 'hourlySpend');
  check(micros(hourlySpend) === own, `hourlySpend is ${hourlySpend}, the servers' prices are ${dollars(own)}`);
  return hourlySpend;
}

await story('hourly', async (say) => {
  const session = fields(await client.call(201, 'POST', '/auth/register', who), 'accessToken', 'user');
  fields(session.user, 'id', 'email', 'balance');
  client.token = session.accessToken;
  await client.call(409, 'POST', '/auth/register', who);
  same((await client.call(200, 'GET', '/auth/me')).user, session.user, 'GET /auth/me');
  let left = micros((await client.call(200, 'GET', '/billing')).balance);
  check(left >= 100_000n, `the balance of ${dollars(left)} does not cover this story`);
  say(`registered ${who.email}, balance ${dollars(left)}`);

  const ssh = options.ssh ? await keyPair() : undefined;
  try {
    if (ssh) {
      const key = await client.call(201, 'POST', '/v1/keys', { name: 'scripted-client', public_key: ssh.public });
      left -= micros(key.charged);
    }
    left -= await fleet(say, ssh);
  } finally {
    await ssh?.remove();
  }

  same((await client.call(200, 'GET', '/servers')).servers, [], 'GET /servers in the end');
  const { balance, hourlySpend } = await client.call(200, 'GET', '/billing');
  check(micros(balance) === left, `the balance is ${balance}, and ${dollars(left)} should be left`);
  same(micros(hourlySpend).toString(), '0', 'hourlySpend in the end');
  say(`the balance is ${balance}, to the last digit`);
});

/** Buys and ends servers, and returns what they have cost: an hour of each. */
async function fleet(say, ssh) {
  const { server: first } = await client.call(202, 'POST', '/servers', { label: 'my-bot', ...plan });
  same([fields(first, ...shape).status, first.ipv4, first.label, first.plan, first.region], ['PROVISIONING', null, 'my-bot', plan.planId, plan.regionId], 'POST /servers');
  const up = fields(await becomes(first.id, 'ACTIVE'), ...shape, 'rootPassword');
  check(up.ipv4 && up.rootPassword, `no way in: ${JSON.stringify(up)}`);
  say(`${first.id} is ACTIVE at ${up.ipv4}, ${await spend()} an hour`);
  const secret = randomBytes(16).toString('hex');
  if (ssh) {
    same((await ssh.run(up.ipv4, up.sshPort ?? 22, `echo ${secret} > /root/kept && id -u`)).trim(), '0', 'id -u');
    say('SSH as root, and left a file');
  }

  const { backup } = await client.call(202, 'POST', '/backups', { serverId: first.id });
  same(fields(backup, 'id', 'label', 'status', 'region', 'plan', 'createdAt', 'expiresAt').status, 'PENDING', 'POST /backups');
  await until(`${backup.id} is AVAILABLE`, async () => {
    const { backups } = await client.call(200, 'GET', '/backups');
    const now = backups.find((b) => b.id === backup.id);
    check(now && now.status !== 'ERROR', `the backup: ${JSON.stringify(now)}`);
    return now.status === 'AVAILABLE';
  });
  say(`${backup.id} is AVAILABLE`);
  await destroy(first.id);
  say(`${first.id} is DESTROYED`);

  const { server: second } = await client.call(202, 'POST', `/backups/${backup.id}/restore`);
  same([second.status, second.plan, second.region], ['PROVISIONING', plan.planId, plan.regionId], 'POST /backups/:id/restore');
  const restored = await becomes(second.id, 'ACTIVE');
  if (ssh) {
    same((await ssh.run(restored.ipv4, restored.sshPort ?? 22, 'cat /root/kept')).trim(), secret, 'the file on the restored server');
    say('the file is on the restored server');
  }
  same(await client.call(202, 'DELETE', `/backups/${backup.id}`), { ok: true }, 'DELETE /backups/:id');
  await client.call(409, 'POST', `/backups/${backup.id}/restore`);
  say(`${second.id} was restored, and the backup deleted`);

  const { servers: many } = await client.call(202, 'POST', '/servers/bulk', { label: 'fleet', count: 3, ...plan });
  same(many.map((s) => s.label), ['fleet-1', 'fleet-2', 'fleet-3'], 'the labels of a fleet');
  for (const each of many) await becomes(each.id, 'ACTIVE');
  say(`a fleet of ${many.length} is ACTIVE, ${await spend()} an hour`);
  await destroy(second.id, ...many.map((s) => s.id));
  say('all are DESTROYED');
  return [first, second, ...many].reduce((sum, s) => sum + micros(s.hourlyPrice), 0n);
}
