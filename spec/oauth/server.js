// A token server that nobody here wrote, oauth2-mock-server, and behind it an API that trusts no token but its.
//
//   node server.js TENANT [KEY.pem CERTIFICATE.pem]      with a certificate the token server speaks https
//
// Both listen on 127.0.0.1. The first line printed is "TOKEN-SERVER API", two addresses. It ends with its standard
// input.
//
//   GET  API/api/alerts/ID/ips    one address, or 401 with the reason
//   GET  API/log                  { tokens: requests for tokens, calls: requests to the API }
//   POST API/orders               a form of what `standing` below names; empties the log, and resets what is not named
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const { OAuth2Server } = require('oauth2-mock-server');

const [tenant, key, certificate] = process.argv.slice(2);

const standing = {
  expires_in: 3600, // what the answer says of the token
  expired: 0, // so many tokens are over before they are handed out
  failures: 0, // so many requests are answered so:
  status: 503,
  error: 'temporarily_unavailable',
};
let orders = { ...standing };
let log = { tokens: [], calls: [] };

const now = () => Date.now() / 1000;

const server = new OAuth2Server(key, certificate, {
  endpoints: { token: `/${tenant}/oauth2/v2.0/token` },
});

// --- the tokens ---

// Its tokens of one second are all the same, and for nobody; Microsoft's say for whom they are, and are each another.
server.service.on('beforeTokenSigning', (token, req) => {
  const life = orders.expired > 0 ? -60 : orders.expires_in + 60;
  token.payload.aud = String(req.body.scope).replace(/\/\.default$/, '');
  token.payload.exp = Math.floor(now()) + life;
  token.payload.uti = crypto.randomUUID();
});

server.service.on('beforeResponse', (response, req) => {
  if (orders.failures > 0) {
    orders.failures--;
    response.statusCode = orders.status;
    response.body = { error: orders.error, error_description: 'As ordered.' };
  } else {
    if (orders.expired > 0) orders.expired--;
    response.body.expires_in = orders.expires_in;
  }
  log.tokens.push({
    at: now(),
    method: req.method,
    path: req.originalUrl,
    headers: req.headers,
    fields: req.body,
    status: response.statusCode,
    token: response.body.access_token,
  });
});

// --- the API ---

const decode = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());

// Why this is no token of the server's for this API; undefined if it is one.
function refusal(token) {
  const parts = token.split('.');
  if (parts.length !== 3 || !/^ey/.test(token)) return 'no JWT';
  const jwk = server.issuer.keys.toJSON().find((one) => one.kid === decode(parts[0]).kid);
  if (!jwk) return 'a key of somebody else';
  const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
  const signature = Buffer.from(parts[2], 'base64url');
  if (!crypto.verify('RSA-SHA256', signed, crypto.createPublicKey({ key: jwk, format: 'jwk' }), signature)) {
    return 'not signed by the token server';
  }
  const claims = decode(parts[1]);
  if (claims.iss !== server.issuer.url) return 'another issuer';
  if (claims.aud !== 'https://api.securitycenter.microsoft.com') return 'for somebody else';
  return claims.exp <= now() ? 'expired' : undefined;
}

function answer(res, status, body) {
  res.writeHead(status, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify(body));
}

function call(req, res) {
  const token = (req.headers.authorization || '').replace(/^Bearer /, '');
  const reason = refusal(token);
  log.calls.push({ at: now(), path: req.url, token, status: reason ? 401 : 200, reason });
  if (reason) answer(res, 401, { error: { code: 'Unauthorized', message: reason } });
  else answer(res, 200, { value: [{ id: '192.0.2.1' }] });
}

async function take_orders(req, res) {
  let text = '';
  for await (const piece of req) text += piece;
  orders = { ...standing };
  for (const [name, value] of new URLSearchParams(text)) {
    orders[name] = typeof standing[name] === 'number' ? Number(value) : value;
  }
  log = { tokens: [], calls: [] };
  answer(res, 200, orders);
}

const api = http.createServer((req, res) => {
  if (req.method === 'POST' && req.url === '/orders') take_orders(req, res);
  else if (req.url === '/log') answer(res, 200, log);
  else if (req.method === 'GET' && /^\/api\/alerts\/[^/]+\/ips$/.test(req.url)) call(req, res);
  else answer(res, 404, { error: { code: 'NotFound', message: req.url } });
});

// --- beginning and end ---

async function main() {
  await server.issuer.keys.generate('RS256');
  await server.start(0, '127.0.0.1');
  await new Promise((resolve) => api.listen(0, '127.0.0.1', resolve));
  const scheme = key ? 'https' : 'http';
  console.log(`${scheme}://127.0.0.1:${server.address().port} http://127.0.0.1:${api.address().port}`);
}

process.stdin.on('data', () => process.exit(0)).on('end', () => process.exit(0));
main();
