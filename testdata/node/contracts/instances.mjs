// A client goes through the whole story of the contract of instances: a host node,
// an instance with forwarded ports and a first-boot script, its page and a shell
// at those ports, a stop and a start, and the end. It knows a base URL and nothing
// else, and checks each answer and the balance to the last digit.
//
//   node instances.mjs --base http://127.0.0.1:8080
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { check, Client, dollars, fields, keyPair, micros, same, story, until } from './client.mjs';

const { values: options } = parseArgs({ options: { base: { type: 'string' } } });
check(options.base, 'usage: node instances.mjs --base URL');

const root = options.base.replace(/\/$/, '');
const who = { email: `${randomBytes(6).toString('hex')}@example.com`, password: randomBytes(12).toString('hex') };
const renew = async () => (await new Client(root).call(200, 'POST', '/v1/auth/login', who)).access_token;
const native = new Client(root, { renew });
const api = new Client(`${root}/api/v2`, { renew });

const page = `Served by ${randomBytes(6).toString('hex')}`;
const asked = { vcpu_count: 2, ram_gb: 4, storage_gb: 50 };
const forwards = [{ internal_port: 22, external_port: 20000 }, { internal_port: 8080, external_port: 20001 }];
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Serves the page by Python, or by Perl where there is none: small images have that. */
const serve = `#!/bin/sh
cd /srv/page
if python3 -c 'import http.server' 2>/dev/null; then exec python3 -m http.server 8080; fi
exec perl -MIO::Socket::INET -e 'my $l = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die;
while (my $c = $l->accept) { while (<$c>) { last if /^\\s*$/ } open my $f, "<", "index.html"; print $c "HTTP/1.0 200 OK\\r\\n\\r\\n", <$f>; close $c }'`;
const start = 'nohup sh /srv/page/serve >/dev/null 2>&1 &';

/** The data of an answer. */
async function call(status, method, path, body) {
  return fields(await api.call(status, method, path, body), 'data').data;
}

/** Sends what has to be refused, and returns what is said of it. */
async function refused(status, method, path, body) {
  const { errors } = await api.call(status, method, path, body);
  for (const e of errors) same(fields(e, 'code', 'title', 'detail').status, String(status), 'the status of an error');
  return errors.map((e) => e.detail).join('\n');
}

/** Waits until an instance has a status. */
const becomes = (id, status) => until(`it is ${status}`, async () => (await call(200, 'GET', `/instances/${id}`)).status === status);

/** A JSON number of dollars in micro-dollars. */
function price(number) {
  same(typeof number, 'number', `the type of the price ${number}`);
  return micros(String(number));
}

/** What the page at a URL says; nothing where none answers. */
async function look(url) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(3_000), headers: { connection: 'close' } });
    return response.status === 200 ? await response.text() : undefined;
  } catch {
    return undefined; // nobody listens
  }
}

const balance = async () => micros((await native.call(200, 'GET', '/v1/balance')).balance);

await story('instances', async (say) => {
  await refused(402, 'GET', '/instances');
  const { access_token: token } = await native.call(201, 'POST', '/v1/auth/register', who);
  native.token = api.token = token;
  const before = await balance();
  say(`registered ${who.email} with ${dollars(before)}`);

  const key = await keyPair();
  try {
    const node = await choose(say);
    const made = await create(say, node, key);
    await use(say, made, key);
    await power(say, made, key);
    await end(say, made.id);
    const left = await balance();
    check(left === before - made.price, `${dollars(left)} are left of ${dollars(before)}, and an hour costs ${dollars(made.price)}`);
    say(`an hour cost ${dollars(made.price)}; ${dollars(left)} are left, to the last digit`);
  } finally {
    await key.remove();
  }
});

/** Finds a host node that can make what is asked for. */
async function choose(say) {
  const { hostnodes } = await new Client(api.base).call(200, 'GET', '/hostnodes').then((answer) => answer.data);
  check(hostnodes.length > 0, 'there are no host nodes');
  for (const n of hostnodes) {
    fields(n, 'engine', 'uptime_percentage');
    fields(n.available_resources, 'gpus', 'vcpu_count', 'ram_gb', 'storage_gb');
    fields(n.location, 'city', 'stateprovince', 'country', 'has_network_storage', 'network_speed_gbps', 'network_speed_upload_gbps', 'organization', 'organizationName', 'tier');
    check(uuid.test(n.id) && uuid.test(n.location_id) && n.id !== n.location_id, `${n.id} and ${n.location_id} are no ids`);
    same(n.location.uuid, n.location_id, 'the id of the location');
    for (const rate of Object.values(fields(n.pricing, 'per_vcpu_hr', 'per_gb_ram_hr', 'per_gb_storage_hr'))) check(price(rate) > 0n, 'a rate of nothing');
    for (const g of n.available_resources.gpus) check(price(fields(g, 'v0Name', 'availableCount').price_per_hr) > 0n, `${g.v0Name} costs nothing`);
  }
  const node = hostnodes.find((n) => Object.entries(asked).every(([name, least]) => n.available_resources[name] >= least));
  check(node, `no host node has ${JSON.stringify(asked)}`);
  const detail = await call(200, 'GET', `/hostnodes/${node.id}`);
  same([detail.id, detail.location], [node.id, node.location], 'the detail of a host node');
  check(forwards.every((f) => detail.available_resources.available_ports.includes(f.external_port)), 'the ports are not to be had');
  await refused(404, 'GET', '/hostnodes/hn-uuid-12345');
  say(`${hostnodes.length} host nodes; took ${node.id} in ${node.location.city}`);
  return node;
}

/** Creates the instance, after what must not be created. */
async function create(say, node, key) {
  const attributes = {
    name: 'my-port-forward-instance', type: 'virtualmachine', image: 'ubuntu2404', hostnode_id: node.id, resources: asked, port_forwards: forwards,
    ssh_key: key.public,
    cloud_init: {
      runcmd: ['mkdir -p /srv/page', `echo '${page}' > /srv/page/index.html`, `cat > /srv/page/serve <<'END'\n${serve}\nEND`, start],
      package_update: false, package_upgrade: false,
    },
  };
  const body = (changes) => ({ data: { type: 'virtualmachine', attributes: { ...attributes, ...changes } } });
  await refused(400, 'POST', '/instances', body({ ssh_key_id: 'sshkey-uuid-12345' }));
  await refused(400, 'POST', '/instances', body({ ssh_key: undefined }));
  await refused(400, 'POST', '/instances', body({ name: 'my instance' }));
  const unknown = 'geforcertx4090-pcie-24gb';
  const said = await refused(400, 'POST', '/instances', body({ resources: { ...asked, gpus: { [unknown]: { count: 1 } } } }));
  check(said.includes(unknown) && said.includes('h100-sxm5-80gb'), `the refusal does not say which GPUs there are: ${said}`);

  const made = fields(await call(201, 'POST', '/instances', body({})), 'id', 'resources', 'price_per_hr');
  same([made.type, made.name], ['virtualmachine', attributes.name], 'POST /instances');
  check(['running', 'provisioning'].includes(made.status), `it is ${made.status}`);
  check(Object.entries(asked).every(([name, least]) => made.resources[name] >= least), `granted ${JSON.stringify(made.resources)}`);
  const ready = await until('it runs', async () => {
    const now = await call(200, 'GET', `/instances/${made.id}`);
    check(['running', 'provisioning'].includes(now.status), `it is ${now.status}: ${now.error}`);
    return now.status === 'running' && now;
  });
  fields(ready, 'created_at', 'image');
  same([ready.hostnode_id, ready.port_forwards, ready.resources, ready.price_per_hr], [node.id, forwards, made.resources, made.price_per_hr], 'GET /instances/{id}');
  same((await call(200, 'GET', '/instances')).instances.map((i) => i.id), [made.id], 'GET /instances');
  say(`${made.id} runs at ${ready.ip_address}: ${JSON.stringify(made.resources)} for ${made.price_per_hr} an hour`);
  return { id: made.id, address: ready.ip_address, url: `http://${ready.ip_address}:20001/`, price: price(made.price_per_hr) };
}

/** Opens the page and a shell at the forwarded ports. */
async function use(say, { address, url }, key) {
  await until('the page is served', async () => (await look(url))?.trim() === page);
  say(`${url} shows the page`);
  same((await key.run(address, 20000, 'cat /srv/page/index.html')).trim(), page, 'the page as SSH at port 20000 reads it');
  say('SSH at port 20000 logs in');
}

/** Stops and starts the instance. What its first boot started is started again by hand. */
async function power(say, { id, address, url }, key) {
  await refused(409, 'POST', `/instances/${id}/start`);
  await call(200, 'POST', `/instances/${id}/stop`);
  await becomes(id, 'stopped');
  check((await look(url)) === undefined, 'the page is still served');
  await refused(409, 'POST', `/instances/${id}/stop`);
  say('stopped; nothing is served');
  await call(200, 'POST', `/instances/${id}/start`);
  await becomes(id, 'running');
  same((await native.call(200, 'POST', `/v1/servers/${id}/exec`, { command: start })).exit_code, 0, 'the command ended with');
  await until('the page is served again', async () => (await look(url))?.trim() === page);
  same((await key.run(address, 20000, 'echo again')).trim(), 'again', 'SSH after the start');
  say('started; page and SSH are at their ports again, by the same host key');
}

/** Deletes the instance. */
async function end(say, id) {
  same((await call(200, 'DELETE', `/instances/${id}`)).status, 'deleting', 'after the deletion it is');
  await becomes(id, 'deleted');
  await refused(409, 'DELETE', `/instances/${id}`);
  same((await call(200, 'GET', '/instances')).instances, [], 'the list in the end');
  await refused(404, 'GET', '/instances/srv_000000000000000000000000');
  say('deleted');
}
