// The gateway out of examples/, and behind it the simulator, for the tests.
//
//   await gateway.start(); gateway.url; gateway.key
//   gateway.known(40)          alerts that the service has been asked for: they cost no quota. [{ id, ips }]
//   gateway.fresh(3)           alerts that nobody has asked for
//   gateway.odd                ids of alerts, with letters that mean something in an address
//   await gateway.faults([{ id, delay: 1 }])     what the service does instead; spec/simulator/README.md names the rest
//   await gateway.recover()    no fault any more
//   gateway.stop()
'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = path.resolve(__dirname, '../..');
const BUILD = process.env.MDE_BUILD ?? 'build/luajit-gcc';
const SIMULATOR = 'spec/simulator/simulator.sh';
const GATEWAY = 'examples/gateway/gateway.sh';
const KNOWN = 60; // less than a minute's quota

const gateway = { odd: ['custom?id=5&x', '..x', 'a%2Fb+c', 'ålarm-日本_1'] };
let folder, simulator;
let count = 0;

function run(program, words, environment = {}) {
  execFileSync(path.join(ROOT, program), words, { cwd: ROOT, env: { ...process.env, ...environment }, stdio: 'inherit' });
}

function readEnvironment(file) {
  const lines = fs.readFileSync(file, 'utf8').trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/su)));
}

// Many share one of seven addresses, a third another one, and every eleventh has none.
function addressesOf(n) {
  if (n % 11 === 0) return [];
  return [`198.51.100.${n % 7}`, `203.0.113.${n}`, ...(n % 3 === 0 ? ['2001:db8:85a3::8a2e:370:7334'] : [])];
}

function invent() {
  count += 1;
  return { id: `da6374729003828${10000 + count}_-${1364969609 + count}`, ips: addressesOf(count) };
}

async function control(instruction) {
  const response = await fetch(`${simulator.SIMULATOR_HTTP_URL}/_simulator/control`, {
    method: 'POST', body: JSON.stringify(instruction),
  });
  if (!response.ok) throw new Error(`the simulator refuses: ${await response.text()}`);
}

const bodyOf = (ips) => JSON.stringify({ value: ips.map((id) => ({ id })) });

// The simulator's own alerts have hardly an address in common: the answers are put into it.
function answers(alerts) {
  return control({ faults: alerts.map(({ id, ips }) => ({ operation: 'alert_ips', id, body: bodyOf(ips), times: -1 })) });
}

gateway.faults = (list) => control({ faults: list.map((fault) => ({ operation: 'alert_ips', ...fault })) });
gateway.recover = () => control({ faults: false });

let known = [];
let own = [];

gateway.known = (number) => known.slice(0, number);
gateway.fresh = (number) => own.splice(0, number);

async function warm() {
  known = Array.from({ length: KNOWN }, invent);
  await answers(known);
  const headers = { Authorization: `Bearer ${gateway.key}` };
  await Promise.all(known.map(async ({ id }) => {
    const response = await fetch(`${gateway.url}/v1/alerts/${id}/ips`, { headers });
    if (!response.ok) throw new Error(await response.text());
  }));
  await gateway.recover();
}

async function readOwn() {
  const { value } = await askService('/api/alerts?$top=100');
  own = await Promise.all(value.filter(({ id }) => /^da6377/u.test(id)).slice(0, 40).map(async ({ id }) => {
    const { value: ips } = await askService(`/api/alerts/${encodeURIComponent(id)}/ips`);
    return { id, ips: ips.map((ip) => ip.id) };
  }));
}

// In a namespace of its own, whose quota is not the gateway's.
async function askService(resource) {
  const headers = { Authorization: 'Bearer simulator-token-browser' };
  const response = await fetch(simulator.SIMULATOR_HTTP_URL + resource, { headers });
  return response.json();
}

const stopGateway = () => run(GATEWAY, ['stop', BUILD, `${folder}/gateway`]);

gateway.start = async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'mde-browser-'));
  run(SIMULATOR, ['start', `${folder}/simulator`, String(process.pid)]);
  simulator = readEnvironment(`${folder}/simulator/env`);
  run(GATEWAY, ['start', BUILD, `${folder}/gateway`], {
    AZURE_TENANT_ID: '00000000-0000-4000-8000-000000000001',
    AZURE_CLIENT_ID: '00000000-0000-4000-8000-000000000002',
    AZURE_CLIENT_SECRET: 'simulator~secret.1',
    AZURE_AUTHORITY_HOST: simulator.SIMULATOR_URL,
    MDE_BASE_URL: simulator.SIMULATOR_URL,
    MDE_CA_FILE: simulator.SIMULATOR_CA_FILE,
  });
  ({ GATEWAY_URL: gateway.url, GATEWAY_KEY: gateway.key } = readEnvironment(`${folder}/gateway/env`));
  process.once('SIGTERM', () => { gateway.stop(); process.exit(1); });
  await warm();
  await readOwn();
};

gateway.stop = () => {
  stopGateway();
  run(SIMULATOR, ['stop', `${folder}/simulator`]);
  fs.rmSync(folder, { recursive: true, force: true });
};

module.exports = gateway;
