// The table of all alerts. A row changes alone, and only what has changed.
//
//     const table = new AlertTable(byId("alert-rows"), (id) => retry(id));
//     table.show(alerts); table.update(alert);

import { element } from "./dom.js";
import { stateWords } from "./words.js";

const cell = (className, ...children) => element("td", { role: "cell", class: className }, ...children);

const addressItem = (ip) => element("li", {}, ip);

const addresses = (alert) =>
  alert.ips.length > 0 ? [element("ul", { class: "addresses" }, ...alert.ips.map(addressItem))] : [];

function retryButton(alert) {
  const label = `Retry alert ${alert.number}`;
  return element("button", { type: "button", class: "small", "data-id": alert.id, "aria-label": label }, "Retry");
}

function stateParts(alert) {
  const parts = [element("span", { class: `state ${alert.state}` }, stateWords(alert))];
  if (alert.problem?.detail) parts.push(element("span", { class: "detail" }, alert.problem.detail));
  if (alert.state === "failed") parts.push(retryButton(alert));
  return parts;
}

function rowOf(alert) {
  return element("tr", { role: "row", class: alert.state },
    cell("number", String(alert.number)),
    element("th", { role: "rowheader", scope: "row", class: "id" }, alert.id),
    cell("state-cell", ...stateParts(alert)),
    cell("ips", ...addresses(alert)));
}

export class AlertTable {
  #body; #rows = new Map();

  constructor(body, onRetry) {
    this.#body = body;
    body.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-id]");
      if (button) onRetry(button.dataset.id);
    });
  }

  show(alerts) {
    this.#rows = new Map(alerts.map((alert) => [alert.id, rowOf(alert)]));
    this.#body.replaceChildren(...this.#rows.values());
  }

  update(alert) {
    const old = this.#rows.get(alert.id);
    const row = rowOf(alert);
    const focused = old.contains(document.activeElement);
    this.#rows.set(alert.id, row);
    old.replaceWith(row);
    if (focused) this.#keepFocus(row);
  }

  // The button that was pressed is gone: the row keeps its place in the tab order.
  #keepFocus(row) {
    const target = row.querySelector("button") ?? row.querySelector("th");
    if (target.localName === "th") target.tabIndex = -1;
    target.focus({ preventScroll: true });
  }
}
