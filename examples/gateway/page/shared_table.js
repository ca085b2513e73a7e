// The table of the addresses that several alerts share: what the picture shows, in words.

import { element } from "./dom.js";

const which = (alert) => element("li", {}, element("span", { class: "muted" }, `#${alert.number} `), alert.id);

function rowOf({ ip, alerts }, index) {
  return element("tr", { role: "row", "data-row": index },
    element("th", { role: "rowheader", scope: "row", class: "ip" }, ip),
    element("td", { role: "cell", class: "number" }, String(alerts.length)),
    element("td", { role: "cell" }, element("ul", { class: "which" }, ...alerts.map(which))));
}

export function showShared(body, shared) {
  body.replaceChildren(...shared.map(rowOf));
}

/** Tells the row that the pointer is on, or null. */
export function onSharedRow(body, tell) {
  const rowAt = (event) => event.target.closest("tr[data-row]");
  body.addEventListener("pointerover", (event) => tell(rowAt(event) ? Number(rowAt(event).dataset.row) : null));
  body.addEventListener("pointerleave", () => tell(null));
}
