// What is left of the quota, asked for while alerts are.

import { askQuota } from "./gateway.js";
import { byId, element } from "./dom.js";
import { windowWords } from "./words.js";

const EVERY_MS = 5000;

const part = ([seconds, left]) =>
  element("div", { class: left > 0 ? "" : "used-up" },
    element("dt", {}, `left ${windowWords(seconds)}`), element("dd", {}, String(left)));

async function refresh(key) {
  const { windows } = await askQuota(key);
  if (!windows) return;
  byId("quota").replaceChildren(...windows.map(part));
  byId("quota").hidden = windows.length === 0;
}

/** Returns a function that asks once more and ends it. */
export function watchQuota(key) {
  refresh(key);
  const timer = setInterval(() => refresh(key), EVERY_MS);
  return () => {
    clearInterval(timer);
    refresh(key);
  };
}
