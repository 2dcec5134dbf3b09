// A team goes through the whole story of the contract of rentals: a pool, an
// invitation, the marketplace, a server for a day that a member works on, a week
// more at an admin's expense, and a member who has to go. It knows a base URL and
// nothing else, and checks each answer and the money to the last digit.
//
//   node rentals.mjs --base http://127.0.0.1:8080
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { check, Client, dollars, fields, micros, same, story, until } from './client.mjs';

const { values: options } = parseArgs({ options: { base: { type: 'string' } } });
check(options.base, 'usage: node rentals.mjs --base URL');

const suffix = randomBytes(6).toString('hex');
const hex = /^[0-9a-f]{24}$/;

/** Somebody with an account: a client of the contract, and of the native one. */
class Person {
  constructor(name) {
    this.username = `${name}_${suffix}`;
    this.who = { email: `${this.username}@example.com`, password: randomBytes(12).toString('hex') };
    const renew = async () => (await new Client(options.base).call(200, 'POST', '/v1/auth/login', this.who)).access_token;
    this.native = new Client(options.base, { renew });
    this.client = new Client(`${options.base.replace(/\/$/, '')}/api/v1`, { renew });
  }

  /** Makes the account, and notes what it may spend. */
  async register() {
    const { access_token: token, account } = await this.native.call(201, 'POST', '/v1/auth/register', this.who);
    this.native.token = this.client.token = token;
    same(account.username, this.username, 'the username');
    this.id = account.id.replace('acct_', '');
    check(hex.test(this.id), `${account.id} is no id`);
    this.left = await this.balance();
    return this;
  }

  /** Sends a request and returns what the envelope of its answer holds. */
  async call(status, method, path, body) {
    const answer = fields(await this.client.call(status, method, path, body), 'statusCode', 'message', 'data');
    same(answer.statusCode, status, `the envelope's status of ${method} ${path}`);
    check(typeof answer.message === 'string' && answer.message !== '', `${method} ${path} says nothing`);
    if (status >= 400) fields(answer.data, 'code', 'hint');
    return answer.data;
  }

  async balance() {
    return micros((await this.native.call(200, 'GET', '/v1/balance')).balance);
  }

  /** Checks that the balance is what should be left. */
  async settled() {
    const balance = await this.balance();
    check(balance === this.left, `${this.username} has ${dollars(balance)}, and ${dollars(this.left)} should be left`);
  }
}

const done = { success: true };
const day = 24 * 3600 * 1000;

/** The amount of a transaction, a JSON number, in micro-dollars. */
function paid(transaction) {
  check(hex.test(fields(transaction, 'id', 'amount', 'currency').id), `${transaction.id} is no id`);
  same([typeof transaction.amount, transaction.currency], ['number', 'USD'], 'the amount of a transaction');
  return micros(String(transaction.amount));
}

await story('rentals', async (say) => {
  const [lead, admin, dev] = await Promise.all(['lead', 'admin', 'dev'].map((name) => new Person(name).register()));
  say(`registered ${lead.username}, ${admin.username} and ${dev.username}, each with ${dollars(lead.left)}`);

  const pool = await team(say, lead, admin, dev);
  const offer = await browse(say, dev);
  const rental = await rent(say, lead, pool, offer);
  await work(say, dev, rental);
  await extend(say, admin, dev, rental, offer);

  await lead.call(200, 'PATCH', `/pools/${pool}/members/${dev.id}`, { role: 'admin' });
  await dev.call(403, 'PATCH', `/pools/${pool}`, { description: 'mine' });
  await lead.call(200, 'PATCH', `/pools/${pool}/members/${dev.id}`, { role: 'user' });
  same(await admin.call(200, 'DELETE', `/pools/${pool}/members/${dev.id}`), done, 'removing a member');
  for (const path of [`/pools/${pool}`, `/rentals/${rental.id}`, `/servers/${rental.id}`]) await dev.call(404, 'GET', path);
  await dev.native.call(404, 'POST', `/v1/servers/srv_${rental.id}/exec`, { command: 'true' });
  say(`${dev.username} was made admin and user again, removed, and finds nothing any more`);

  await leave(say, lead, pool, rental);
  for (const person of [lead, admin, dev]) await person.settled();
  say(`the balances are ${[lead, admin, dev].map((p) => dollars(p.left)).join(', ')}, to the last digit`);
});

/** Makes a pool with an admin and a user, who turned an invitation down first. */
async function team(say, lead, admin, dev) {
  const asked = { name: 'Production Team', description: 'Pool for production environment management', settings: { auto_approve: true, max_servers: 20 } };
  const made = fields(await lead.call(201, 'POST', '/pools', asked), 'id', 'created_at');
  same([made.name, made.description, made.owner_id, made.is_default, made.settings], [asked.name, asked.description, lead.id, false, asked.settings], 'POST /pools');
  const changed = { description: 'Pool for staging and production environments', settings: { auto_approve: false, max_servers: 15 } };
  same(await lead.call(200, 'PATCH', `/pools/${made.id}`, changed), done, 'PATCH /pools/{id}');
  say(`made the pool ${made.id}`);

  const invite = async (who, role) => {
    const sent = fields(await lead.call(201, 'POST', `/pools/${made.id}/members`, { username: who.username, role }), 'invited_at');
    same([sent.role, sent.is_authorized], [role, false], 'an invitation');
    await lead.call(409, 'POST', `/pools/${made.id}/members`, { username: who.username, role });
    await who.call(404, 'GET', `/pools/${made.id}`);
    const [pending, ...more] = await who.call(200, 'GET', '/pools/invitations/pending');
    same(more, [], 'further invitations');
    same([pending.id, pending.pool_id, pending.pool_name, pending.pool_description, pending.role, pending.invited_by.username],
      [sent.id, made.id, asked.name, changed.description, role, lead.username], 'GET /pools/invitations/pending');
    return sent.id;
  };
  same(await dev.call(200, 'POST', `/pools/${await invite(dev, 'user')}/reject`), done, 'rejecting');
  for (const [who, role] of [[dev, 'user'], [admin, 'admin']]) {
    same(await who.call(200, 'POST', `/pools/${await invite(who, role)}/accept`), done, 'accepting');
    same(await who.call(200, 'GET', '/pools/invitations/pending'), [], 'the invitations afterwards');
  }
  const pool = fields(await dev.call(200, 'GET', `/pools/${made.id}`), 'updated_at', 'created_at');
  same([pool.settings, pool.owner_id, pool.servers], [changed.settings, lead.id, []], 'GET /pools/{id}');
  same(pool.members.map((m) => [m.user.id, m.user.username, m.role, m.is_authorized]),
    [[dev.id, dev.username, 'user', true], [admin.id, admin.username, 'admin', true]], 'the members');
  const listed = (await admin.call(200, 'GET', '/pools')).find((p) => p.id === made.id);
  same([listed.user_role, listed.member_count, listed.server_count], ['admin', 2, 0], 'GET /pools');
  say('invited two by their usernames; one declined first; both have joined');
  return made.id;
}

/** Finds the cheapest offer that satisfies many filters. */
async function browse(say, dev) {
  const all = await dev.call(200, 'GET', '/servers/available');
  const filters = new URLSearchParams({
    country: 'US', max_price_per_day: '1.50', min_cpu_cores: '1', min_ram_gb: '1', min_total_storage_gb: '20', min_bandwidth_mbps: '1000',
    min_traffic_tb: '1', category: 'general', featured_only: 'true', available_durations: '1,7',
  });
  for (const type of ['SSD', 'NVMe']) filters.append('disk_types', type);
  const found = await dev.call(200, 'GET', `/servers/available?${filters}`);
  check(found.length > 0 && found.length < all.length, `${found.length} of ${all.length} offers`);
  for (const o of found) {
    fields(o, 'id', 'name', 'country', 'region', 'city', 'datacenter', 'model', 'is_vm', 'category', 'featured', 'popularity_rank', 'setup_time_minutes', 'pricing', 'specs');
    const s = fields(o.specs, 'cpu', 'ram', 'disks', 'network', 'additional');
    const perDay = Object.values(o.pricing.price_tiers).map(micros);
    check(hex.test(o.id) && o.country === 'US' && o.category === 'general' && o.featured && perDay.some((p) => p <= 1_500_000n), `not asked for: ${JSON.stringify(o)}`);
    check(s.cpu.cores >= 1 && s.ram.capacity_gb >= 1 && s.disks.total_gb >= 20 && s.network.bandwidth_mbps >= 1000 && s.network.traffic_tb >= 1, `too small: ${JSON.stringify(s)}`);
  }
  same(await dev.call(200, 'GET', '/servers/available?available_durations=2'), [], 'what is rented for two days');
  await dev.call(400, 'GET', '/servers/available?category=other');
  say(`${found.length} of ${all.length} offers satisfy ten filters; ${found[0].name} costs ${found[0].pricing.prices[1]} a day`);
  return found[0];
}

/** Rents for a day into the pool, and waits until it is ready. */
async function rent(say, lead, pool, offer) {
  await lead.call(400, 'POST', `/servers/${offer.id}/rent`, { rental_days: 2, pool_id: pool });
  const { rental, transaction } = await lead.call(201, 'POST', `/servers/${offer.id}/rent`, { rental_days: 1, pool_id: pool });
  same([rental.server_id, rental.hold_days, rental.actual_usage_days, rental.status], [rental.id, 3, 0, 'active'], 'POST /servers/{id}/rent');
  same(Date.parse(rental.rental_end) - Date.parse(rental.rental_start), day, 'the time that was rented');
  const amount = paid(transaction);
  same(dollars(amount), dollars(micros(offer.pricing.prices[1])), 'the price');
  lead.left -= amount;
  await until(`${rental.id} is ready`, async () => {
    const { servers } = await lead.call(200, 'GET', `/pools/${pool}`);
    same(servers.map((s) => [s.id, s.rental_status]), [[rental.id, 'active']], 'the servers of the pool');
    return servers[0].is_ready;
  });
  await lead.settled();
  say(`${rental.id} is ready, for ${dollars(amount)}`);
  return { ...rental, amount, transaction };
}

/** Has the member run a command, and look at the rental. */
async function work(say, dev, rental) {
  const secret = randomBytes(16).toString('hex');
  const ran = await dev.native.call(200, 'POST', `/v1/servers/srv_${rental.id}/exec`, { command: `echo ${secret} | rev | rev; id -u` });
  same([ran.exit_code, ran.stdout.text], [0, `${secret}\n0\n`], 'what the command printed');
  const seen = await dev.call(200, 'GET', `/rentals/${rental.id}`);
  same([seen.id, seen.status, seen.amount, seen.remaining_days, seen.usage_days, seen.hold_days],
    [rental.id, 'active', (await dev.call(200, 'GET', `/servers/${rental.id}`)).amount, 1, 0, 3], 'GET /rentals/{id}');
  same([micros(seen.amount), paid(seen.transaction), seen.transaction.id].map(String), [rental.amount, rental.amount, rental.transaction.id].map(String), 'what it cost');
  fields(seen.server, 'id', 'name', 'country', 'region', 'city', 'datacenter', 'model', 'is_vm', 'specs');
  same(await dev.call(200, 'GET', '/rentals'), [], 'rentals of its own');
  say(`${dev.username} ran a command on it as root`);
}

/** Extends by a week, which the admin pays. */
async function extend(say, admin, dev, rental, offer) {
  const path = `/rentals/${rental.id}/extend`;
  await dev.call(403, 'POST', path, { additional_days: 7 });
  await admin.call(400, 'POST', path, { additional_days: 2 });
  const before = await admin.call(200, 'GET', `/rentals/${rental.id}`);
  const { rental: longer, transaction } = await admin.call(200, 'POST', path, { additional_days: 7 });
  const amount = paid(transaction);
  same(dollars(amount), dollars(micros(offer.pricing.prices[7])), 'the price of a week');
  same([longer.id, longer.status, longer.remaining_days, dollars(micros(longer.amount))], [rental.id, 'active', 8, dollars(rental.amount + amount)], 'the extended rental');
  same(Date.parse(longer.rental_end) - Date.parse(before.rental_end), 7 * day, 'the time that was added');
  admin.left -= amount;
  await admin.settled();
  say(`${admin.username} extended it by a week, for ${dollars(amount)}`);
}

/** Deletes the pool and ends the rental, which stays in the list. */
async function leave(say, lead, pool, rental) {
  await lead.call(409, 'DELETE', `/pools/${lead.id}`);
  same(await lead.call(200, 'DELETE', `/pools/${pool}`), done, 'DELETE /pools/{id}');
  const [listed] = await lead.call(200, 'GET', '/rentals');
  same([listed.id, listed.pool_id, listed.server], [rental.id, lead.id, { id: rental.id }], 'GET /rentals');
  await lead.native.call(200, 'DELETE', `/v1/servers/srv_${rental.id}`);
  await until('it has ended', async () => (await lead.native.call(200, 'GET', `/v1/servers/srv_${rental.id}`)).status === 'destroyed');
  const [ended] = await lead.call(200, 'GET', '/servers');
  same([ended.id, ended.status, ended.remaining_days], [rental.id, 'terminated', 0], 'GET /servers');
  say('the pool is deleted, and the rental ended');
}
