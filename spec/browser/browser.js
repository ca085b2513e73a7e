// Debian's Chromium, and a page of it that notes what must not happen.
//
//   const visit = await browser.visit(url, { colorScheme: 'dark', viewport: { width: 320, height: 640 } });
//   visit.page        playwright's
//   visit.trouble     console errors, exceptions, violations of the content security policy, requests elsewhere
'use strict';

const { chromium } = require('playwright-core');

const PROGRAM = process.env.CHROMIUM ?? '/usr/bin/chromium';
// Chromium's sandbox does not start for root.
const ARGUMENTS = [...(process.getuid() === 0 ? ['--no-sandbox'] : []), '--disable-background-networking', '--no-proxy-server'];

// A refusal is in the console whatever the page does with it.
const IS_REFUSAL = /^Failed to load resource: the server responded with a status of (4\d\d|502|504)/;

let program = null;

function watch(page, url, trouble) {
  page.setDefaultTimeout(15000);
  page.on('console', (message) => {
    if (message.type() === 'error' && !IS_REFUSAL.test(message.text())) trouble.push(message.text());
  });
  page.on('pageerror', (error) => trouble.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) trouble.push(`asked ${request.url()}`);
  });
}

async function visit(url, options = {}) {
  program ??= await chromium.launch({ executablePath: PROGRAM, args: ARGUMENTS });
  const context = await program.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const trouble = [];
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`CSP: ${event.violatedDirective}`));
  });
  const page = await context.newPage();
  watch(page, url, trouble);
  await page.goto(url);
  return { page, context, trouble };
}

module.exports = { visit, close: () => program?.close() };
