// Results as CSV (RFC 4180) that a spreadsheet takes for text.

// A cell that begins so is a formula to a spreadsheet, quoted or not.
const FORMULA = /^[\s]*[=+\-@\t\r]/u;

/** One cell: always quoted, and with an apostrophe before what would be a formula. */
export function cell(value) {
  const text = String(value);
  return `"${(FORMULA.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

const line = (cells) => `${cells.map(cell).join(",")}\r\n`;

// An alert without addresses has a line too: it was asked for.
function linesOf(alert, words) {
  const addresses = alert.ips.length > 0 ? alert.ips : [""];
  return addresses.map((ip) => line([alert.id, ip, words(alert)]));
}

/** `words(alert)` says the state of an alert. */
export function csvOf(alerts, words) {
  const body = alerts.flatMap((alert) => linesOf(alert, words));
  return line(["alert", "address", "state"]) + body.join("");
}
