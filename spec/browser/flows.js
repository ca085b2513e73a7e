// The page in a browser. Run by `make test-browser`; one test for each thing that its users do or must be safe from.
'use strict';

const assert = require('node:assert/strict');
const { after, afterEach, before, test } = require('node:test');
const axe = require('axe-core');
const browser = require('./browser.js');
const gateway = require('./gateway.js');

const PHONE = { width: 320, height: 640 };

let page, visited;

async function open(options) {
  visited = await browser.visit(gateway.url, options);
  page = visited.page;
}

const notice = () => page.locator('#notice');

async function told(pattern) {
  await page.waitForFunction(([source]) => new RegExp(source, 'u').test(document.querySelector('#notice').textContent),
    [pattern.source]);
}

async function lookUp(ids, key = gateway.key) {
  await page.fill('#ids', ids.join('\n'));
  await page.fill('#key', key);
  await page.click('#start');
}

const idsOf = (alerts) => alerts.map((alert) => alert.id);
const row = (number) => page.locator('#alert-rows tr').nth(number - 1);
const addressesIn = (number) => row(number).locator('.addresses li').allTextContents();

// What no client repeats by itself: the gateway makes a 502 of it.
const refused = ({ id }) => ({ id, status: 400, times: -1 });

/** [ip, count], the most shared first: by other means than the page's. */
function sharedIn(alerts) {
  const counts = {};
  for (const ip of alerts.flatMap((alert) => alert.ips)) counts[ip] = (counts[ip] ?? 0) + 1;
  return Object.entries(counts).filter(([, count]) => count > 1).sort((a, b) => b[1] - a[1]);
}

const sorted = (list) => [...list].sort();

before(() => gateway.start());
after(async () => {
  await browser.close();
  await gateway.stop();
});

afterEach(async () => {
  const { trouble, context } = visited;
  await context.close();
  assert.deepEqual(trouble, []);
});

test('looks up by keyboard alone', async () => {
  const alerts = gateway.known(3);
  await open();
  await page.keyboard.press('Tab'); // the link to the results
  await page.keyboard.press('Tab');
  await page.keyboard.insertText(idsOf(alerts).join(', '));
  await page.keyboard.press('Tab');
  await page.keyboard.type(gateway.key);
  await page.keyboard.press('Enter');
  await told(/^Finished: 3 alerts\.$/);
  for (const [index, { ips }] of alerts.entries()) assert.deepEqual(sorted(await addressesIn(index + 1)), sorted(ips));
});

test('shows where the focus is on whatever can have it', async () => {
  await open();
  await lookUp(idsOf(gateway.known(12)));
  await told(/Finished/);
  await page.evaluate(() => document.activeElement.blur());
  const seen = new Set();
  for (let i = 0; i < 9; i += 1) {
    await page.keyboard.press('Tab');
    const [id, style] = await page.evaluate(() => [document.activeElement.id || document.activeElement.localName,
      getComputedStyle(document.activeElement).outlineStyle]);
    assert.ok(style === 'solid' || id === 'body', `${id}: ${style}`);
    seen.add(id);
  }
  for (const id of ['ids', 'key', 'keep', 'start', 'copy', 'picture-frame']) assert.ok(seen.has(id), id);
});

test('takes ids with anything between, each once', async () => {
  const [a, b] = idsOf(gateway.known(2));
  await open();
  await page.fill('#ids', `["${a}", '${b}'];\t${a} - .. |\r\n(${b})`);
  assert.equal(await page.textContent('#ids-count'), '2 ids, 2 repeated');
});

test('takes no more than a thousand ids, and says so', async () => {
  await open();
  await page.fill('#ids', Array.from({ length: 1003 }, (_, i) => `da${i}`).join(' '));
  assert.equal(await page.textContent('#ids-count'), '1000 ids, 3 over the most, 1000');
});

test('asks for ids and for a key where they are missing', async () => {
  await open();
  await page.click('#start');
  await told(/Paste at least one/);
  await page.fill('#ids', 'da1');
  await page.click('#start');
  assert.match(await page.textContent('#key-problem'), /Enter the key/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'key');
});

test('shows results and progress while others are still under way, six at once', async () => {
  const alerts = gateway.fresh(8);
  await gateway.faults(idsOf(alerts).slice(1).map((id) => ({ id, delay: 1.5 })));
  await open();
  await lookUp(idsOf(alerts));
  await row(1).locator('.state.done').waitFor();
  assert.equal(await page.locator('.state.asking').count(), 6);
  assert.equal(await page.locator('.state.waiting').count(), 1);
  assert.equal(await page.getAttribute('#progress', 'max'), '8');
  await page.waitForFunction(() => document.querySelector('#progress').value === 1);
  assert.match(await page.textContent('#counts'), /1 of 8 done/);
  await told(/Finished/);
  assert.equal(await page.evaluate(() => document.querySelector('#progress').value), 8);
  assert.match(await page.textContent('#announcement'), /of 8 alerts finished/);
});

test('shows the addresses that alerts share as a table', async () => {
  const alerts = gateway.known(40);
  await open();
  await lookUp(idsOf(alerts));
  await told(/Finished/);
  const expected = sharedIn(alerts);
  assert.ok(expected.length > 1);
  await page.waitForFunction((count) => document.querySelectorAll('#shared-rows tr').length === count, expected.length);
  const cells = await page.locator('#shared-rows tr').evaluateAll((rows) =>
    rows.map((one) => [one.cells[0].textContent, Number(one.cells[1].textContent)]));
  assert.deepEqual(new Map(cells), new Map(expected));
  assert.deepEqual(cells.map(([, count]) => count), expected.map(([, count]) => count));
  const named = await page.locator('#shared-rows tr').first().locator('li').allTextContents();
  const ips = cells[0][0];
  assert.deepEqual(named, alerts.flatMap((alert, i) => (alert.ips.includes(ips) ? [`#${i + 1} ${alert.id}`] : [])));
});

test('draws them as a picture with a name, a dot for each pair', async () => {
  const alerts = gateway.known(40);
  await open();
  await lookUp(idsOf(alerts));
  await told(/Finished/);
  const pairs = sharedIn(alerts).reduce((sum, [, count]) => sum + count, 0);
  assert.equal(await page.locator('.picture .dot').count(), pairs);
  const name = await page.getByRole('img').getAttribute('aria-label');
  assert.match(name, /^\d+ shared addresses and the alerts they belong to\. .*table below/);
});

test('lights an address by arrow keys, by the pointer and from the table', async () => {
  await open();
  await lookUp(idsOf(gateway.known(40)));
  await told(/Finished/);
  await page.focus('#picture-frame');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.locator('.picture .row.lit').count(), 1);
  assert.match(await page.textContent('#picture-readout'), /: \d+ alerts, #\d+, #\d+/);
  await page.keyboard.press('ArrowRight');
  assert.match(await page.textContent('#picture-readout'), /^#\d+ \S+ shares /);
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('.picture .row.lit').count(), 0);
  const dot = await page.locator('.picture .row .dot').first().boundingBox();
  await page.mouse.move(dot.x + 4, dot.y + 4);
  assert.equal(await page.locator('.picture .row.lit').count(), 1);
  await page.locator('#shared-rows tr').nth(1).hover();
  assert.equal(await page.locator('.picture .row.lit').getAttribute('data-row'), '1');
});

test('draws sixty alerts readably: no two numbers touch', async () => {
  await open();
  await lookUp(idsOf(gateway.known(60)));
  await told(/Finished/);
  const boxes = await page.locator('.picture .heading').evaluateAll((texts) =>
    texts.map((text) => text.getBoundingClientRect()).map(({ left, right }) => [left, right]));
  assert.ok(boxes.length > 10);
  boxes.slice(1).forEach(([left], i) => assert.ok(left > boxes[i][1], `${left} ${boxes[i][1]}`));
  assert.ok(await page.evaluate(() => {
    const frame = document.getElementById('picture-frame');
    return frame.scrollWidth <= frame.clientWidth;
  }), 'all of them are in sight');
});

test('says that nothing is shared where nothing is', async () => {
  await open();
  await lookUp(idsOf(gateway.known(1)));
  await told(/Finished/);
  assert.ok(await page.isVisible('#shared-none'));
  assert.ok(!await page.isVisible('#picture-frame'));
});

test('asks for odd ids as they are', async () => {
  await open();
  await lookUp(gateway.odd);
  await told(new RegExp(`^Finished: ${gateway.odd.length} alerts`, 'u'));
});

test('shows an unknown alert as such, and the others all the same', async () => {
  const [known] = gateway.known(1);
  await open();
  await lookUp(['da0_0', known.id]);
  await told(/Finished, 1 of 2 alerts failed/);
  assert.ok(await row(1).locator('.state.failed').isVisible());
  assert.ok((await row(1).locator('.detail').textContent()).length > 0);
  assert.ok(await row(2).locator('.state.done').isVisible());
});

test('stops at a wrong key, says so at its field, and goes on with the right one', async () => {
  const alerts = gateway.known(9);
  await open();
  await lookUp(idsOf(alerts), 'wrong');
  await page.locator('#key-problem').waitFor();
  assert.match(await page.textContent('#key-problem'), /does not accept this key/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'key');
  assert.equal(await page.getAttribute('#key', 'aria-invalid'), 'true');
  await page.fill('#key', gateway.key);
  await page.click('#retry');
  await told(/Finished: 9 alerts/);
  assert.ok(!await page.isVisible('#key-problem'));
});

test('waits as long as a 429 says, tells it, and asks again', async () => {
  const [alert] = gateway.known(1);
  let asked = 0;
  await open();
  await page.route('**/v1/alerts/*/ips', (route) => {
    asked += 1;
    return asked > 1 ? route.continue() : route.fulfill({ status: 429, headers: { 'Retry-After': '2' } });
  });
  const begun = Date.now();
  await lookUp([alert.id]);
  await told(/Going on in \d s/);
  await told(/Finished: 1 alert\./);
  assert.ok(Date.now() - begun >= 1900);
  assert.deepEqual(sorted(await addressesIn(1)), sorted(alert.ips));
});

test('can be stopped while it waits', async () => {
  const alerts = gateway.known(2);
  await open();
  await page.route('**/v1/alerts/*/ips', (route) => route.fulfill({ status: 429, headers: { 'Retry-After': '600' } }));
  await lookUp(idsOf(alerts));
  await told(/Going on in (600|599) s/);
  await page.click('#stop');
  await told(/^Stopped: 0 of 2 alerts done/);
  await page.waitForTimeout(1200);
  assert.match(await notice().textContent(), /^Stopped/);
});

test('stops, and asks for the others when it is told to', async () => {
  const alerts = gateway.fresh(8);
  await gateway.faults(idsOf(alerts).slice(1).map((id) => ({ id, delay: 1 })));
  await open();
  await lookUp(idsOf(alerts));
  await row(1).locator('.state.done').waitFor();
  await page.click('#stop');
  await told(/^Stopped: 1 of 8 alerts done/);
  assert.equal(await page.locator('.state.stopped').count(), 7);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'start');
  await page.click('text=Ask for the other 7');
  await told(/Finished: 8 alerts/);
});

test('shows a 502 with a button that asks for this one again', async () => {
  const alerts = gateway.fresh(2);
  await gateway.faults([refused(alerts[0])]);
  await open();
  await lookUp(idsOf(alerts));
  await told(/Finished, 1 of 2 alerts failed/);
  await gateway.recover();
  await page.getByRole('button', { name: 'Retry alert 1' }).press('Enter');
  await told(/Finished: 2 alerts/);
  assert.deepEqual(sorted(await addressesIn(1)), sorted(alerts[0].ips));
});

test('asks again for all that failed at once', async () => {
  const alerts = gateway.fresh(3);
  await gateway.faults([refused(alerts[0]), refused(alerts[2])]);
  await open();
  await lookUp(idsOf(alerts));
  await told(/2 of 3 alerts failed/);
  await gateway.recover();
  await page.click('text=Retry 2 failed');
  await told(/Finished: 3 alerts/);
  assert.ok(!await page.isVisible('#retry'));
});

test('outlives a gateway that goes away or answers nonsense', async () => {
  const [a, b] = idsOf(gateway.known(2));
  await open();
  await page.route(`**/${a}/ips`, (route) => route.fulfill({ status: 200, body: '{"ips":[7]}' }));
  await page.route(`**/${b}/ips`, (route) => route.fulfill({ status: 200, body: '<html>' }));
  await lookUp([a, b]);
  await told(/2 of 2 alerts failed/);
  assert.deepEqual(await page.locator('.state.failed').allTextContents(), ['Odd answer', 'No answer']);
});

test('copies as CSV and says so', async () => {
  const alerts = gateway.known(2);
  await open({ permissions: ['clipboard-read', 'clipboard-write'] });
  await lookUp(idsOf(alerts));
  await told(/Finished/);
  await page.click('#copy');
  await told(/Copied 2 alerts as CSV/);
  assert.ok(await notice().isVisible());
  const lines = (await page.evaluate(() => navigator.clipboard.readText())).trim().split(/\r?\n/u);
  assert.equal(lines[0], '"alert","address","state"');
  for (const { id, ips } of alerts) {
    for (const ip of ips) assert.ok(lines.some((line) => line.startsWith(`"${id}","${ip}","`)), `${id} ${ip}`);
  }
});

test('copies without the clipboard API, which plain HTTP lacks', async () => {
  await open({ permissions: ['clipboard-read'] });
  await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); });
  await lookUp(idsOf(gateway.known(1)));
  await told(/Finished/);
  await page.click('#copy');
  await told(/Copied 1 alert as CSV/);
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^"alert","address","state"/u);
});

test('guards the cells of a CSV', async () => {
  await open();
  const cells = await page.evaluate(async () => {
    const { cell } = await import('/assets/csv.js');
    return ['da1', '=1+1', '+1', '-1', '@SUM(A1)', '\tx', '\r=x', ' =x', 'a"b', 'a,b\nc'].map(cell);
  });
  assert.deepEqual(cells, ['"da1"', '"\'=1+1"', '"\'+1"', '"\'-1"', '"\'@SUM(A1)"', '"\'\tx"', '"\'\r=x"', '"\' =x"',
    '"a""b"', '"a,b\nc"']);
});

test('shows what is left of the quota', async () => {
  await open();
  await lookUp(idsOf(gateway.known(1)));
  await page.locator('#quota dd').first().waitFor();
  const text = await page.textContent('#quota');
  assert.match(text, /left this minute\d+/u);
  assert.match(text, /left this hour\d+/u);
});

test('keeps the key only if told to, and for this tab', async () => {
  await open();
  await page.fill('#key', 'secret');
  await page.reload();
  assert.equal(await page.inputValue('#key'), '');
  await page.fill('#key', 'secret');
  await page.check('#keep');
  await page.reload();
  assert.equal(await page.inputValue('#key'), 'secret');
  await page.uncheck('#keep');
  await page.reload();
  assert.equal(await page.inputValue('#key'), '');
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, '']);
});

test('interprets neither ids nor addresses nor messages', async () => {
  const markup = '<img/src=x/onerror=document.title=1>';
  const body = JSON.stringify({ ips: [markup, '=1+1'] });
  const refused = JSON.stringify({ title: markup, detail: markup });
  await open();
  const before = await page.title();
  await page.route('**/v1/alerts/da*/ips', (route) => route.fulfill({ status: 200, body }));
  await page.route('**/v1/alerts/db*/ips', (route) => route.fulfill({ status: 400, body: refused }));
  await lookUp([markup, 'da1', 'da2', 'db1', '../../v1/quota']);
  await told(/Finished/);
  assert.equal(await row(1).locator('.id').textContent(), markup);
  assert.deepEqual(await addressesIn(2), [markup, '=1+1']);
  assert.equal(await row(4).locator('.detail').textContent(), markup);
  assert.equal(await row(5).locator('.state.done').count(), 0);
  assert.equal(await page.locator('main img').count(), 0);
  assert.equal(await page.title(), before);
});

test('moves nothing for those who asked for that', async () => {
  await open({ reducedMotion: 'reduce' });
  const [alert] = gateway.fresh(1);
  await gateway.faults([{ id: alert.id, delay: 1 }]);
  await lookUp([alert.id]);
  await row(1).locator('.state.asking').waitFor();
  const animations = await page.evaluate(() => document.getAnimations().length);
  assert.equal(animations, 0);
});

const LOOKS = [
  ['light, desktop', { colorScheme: 'light' }],
  ['dark, desktop', { colorScheme: 'dark' }],
  ['light, phone', { colorScheme: 'light', viewport: PHONE }],
  ['dark, phone', { colorScheme: 'dark', viewport: PHONE }],
];

async function violations() {
  await page.evaluate(axe.source);
  const { violations: found } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(' ')}`);
}

/** All there is at once: found, failed, stopped, a wait, an error. */
async function fill() {
  const alerts = gateway.known(14);
  await page.route(`**/${alerts[13].id}/ips`, (route) => route.fulfill({ status: 502, body: '{"detail":"gone"}' }));
  await lookUp(idsOf(alerts));
  await told(/Finished/);
  await page.waitForTimeout(300); // transitions
}

for (const [name, options] of LOOKS) {
  test(`has no barriers that axe knows of: empty; ${name}`, async () => {
    await open(options);
    assert.deepEqual(await violations(), []);
  });

  test(`has no barriers that axe knows of: with results; ${name}`, async () => {
    await open(options);
    await fill();
    assert.deepEqual(await violations(), []);
    await page.focus('#picture-frame');
    await page.keyboard.press('ArrowDown');
    await page.waitForTimeout(300);
    assert.deepEqual(await violations(), []);
  });

  test(`has no barriers that axe knows of: stopped, with a wrong key; ${name}`, async () => {
    await open(options);
    await lookUp(idsOf(gateway.known(9)), 'wrong');
    await page.locator('#key-problem').waitFor();
    await page.waitForTimeout(300);
    assert.deepEqual(await violations(), []);
  });
}

test('fits 320 pixels without sideways scrolling', async () => {
  await open({ viewport: PHONE });
  const width = () => page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(await width(), 320);
  await fill();
  assert.equal(await width(), 320);
  await lookUp(['x'.repeat(300)]);
  await told(/Finished, 1 of 1/);
  assert.equal(await width(), 320);
});

// The last one: it keeps the gateway from asking for a while. What is shorter than its 20 seconds, it waits for itself.
test('waits until the quota of the real service is free again', async () => {
  const [alert] = gateway.fresh(1);
  await gateway.faults([{ id: alert.id, status: 429, headers: { 'Retry-After': '22' } }]);
  await open();
  await lookUp([alert.id]);
  await told(/The quota is used up\. Going on in \d+ s/);
  page.setDefaultTimeout(45000);
  await told(/Finished: 1 alert\./);
  assert.deepEqual(sorted(await addressesIn(1)), sorted(alert.ips));
});
