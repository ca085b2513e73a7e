// The page: joins the form, the run, the results and what shows them.

import { AlertTable } from "./alert_table.js";
import { byId, setText } from "./dom.js";
import { copyText } from "./clipboard.js";
import { csvOf } from "./csv.js";
import { askIps } from "./gateway.js";
import { isKey, keepKey, keptKey } from "./key.js";
import { idsIn, MOST_IDS } from "./parse.js";
import { Picture } from "./picture.js";
import { Progress } from "./progress.js";
import { watchQuota } from "./quota_view.js";
import { Results } from "./results.js";
import { Run } from "./run.js";
import { onSharedRow, showShared } from "./shared_table.js";
import { sharedOf } from "./shared.js";
import { plural, stateWords } from "./words.js";

const picture = new Picture(byId("picture-frame"), byId("picture-readout"));
const progress = new Progress();
const table = new AlertTable(byId("alert-rows"), (id) => askAgain([id]));
let results = new Results([]);
let run = null; // while it runs
let drawnShared = "";

// --- telling ---------------------------------------------------------------------------------------

function tell(text, kind = "") {
  byId("notice").className = `notice ${kind}`;
  setText(byId("notice"), text);
}

function showIdCount() {
  const { ids, repeated, excess } = idsIn(byId("ids").value);
  const words = [plural(ids.length, "id")];
  if (repeated > 0) words.push(`${repeated} repeated`);
  if (excess > 0) words.push(`${excess} over the most, ${MOST_IDS}`);
  setText(byId("ids-count"), ids.length > 0 ? words.join(", ") : "");
}

function showKeyProblem(text) {
  setText(byId("key-problem"), text);
  byId("key-problem").hidden = text === "";
  byId("key").setAttribute("aria-invalid", String(text !== ""));
  if (text) byId("key").focus();
}

// --- drawing: at most once a frame, however fast the answers come -------------------------------------

let isDrawing = false;

function drawSoon() {
  if (isDrawing) return;
  isDrawing = true;
  setTimeout(draw, 50); // not a frame: a page in the background has none
}

function draw() {
  isDrawing = false;
  progress.show(results.counts());
  drawButtons();
  drawShared(sharedOf(results.all));
}

function drawButtons() {
  const { unfinished } = results;
  const allFailed = unfinished.every((alert) => alert.state === "failed");
  const hadFocus = document.activeElement === byId("retry");
  setText(byId("retry"), allFailed ? `Retry ${unfinished.length} failed` : `Ask for the other ${unfinished.length}`);
  byId("retry").hidden = unfinished.length === 0 || run !== null;
  if (hadFocus && byId("retry").hidden) byId("copy").focus();
}

function drawShared(shared) {
  const content = JSON.stringify(shared.map(({ ip, alerts }) => [ip, alerts.map((alert) => alert.number)]));
  if (content === drawnShared) return;
  drawnShared = content;
  byId("shared").hidden = shared.length === 0;
  byId("shared-none").hidden = shared.length > 0;
  showShared(byId("shared-rows"), shared);
  if (shared.length > 0) picture.show(shared);
}

// --- asking ------------------------------------------------------------------------------------------

function showRunning(isRunning) {
  byId("start").disabled = isRunning;
  byId("stop").disabled = !isRunning;
}

function finalWords({ done, failed, stopped, total }) {
  if (stopped > 0) return [`Stopped: ${done} of ${plural(total, "alert")} done.`, "warn"];
  if (failed > 0) return [`Finished, ${failed} of ${plural(total, "alert")} failed.`, "bad"];
  return [`Finished: ${plural(total, "alert")}.`, "good"];
}

// The gateway knows no such key: it would say so of every other alert too.
function refuseKey() {
  run.stop();
  showKeyProblem("The gateway does not accept this key.");
}

function listenerOf(endQuota) {
  return {
    asked(id) { table.update(results.set(id, "asking")); drawSoon(); },
    answered(id, answer) {
      table.update(results.take(id, answer));
      drawSoon();
      if (answer.problem?.status === 401) refuseKey();
    },
    waits(seconds) { showWait(seconds); },
    ended(unasked) {
      unasked.forEach((id) => table.update(results.set(id, "stopped")));
      endQuota();
      end();
    },
  };
}

// The countdown is seen; only its beginning is spoken.
function showWait(seconds) {
  const waiting = results.all.filter((alert) => alert.state === "asking");
  if (seconds === 0) return tell("Going on.");
  waiting.forEach((alert) => table.update(results.set(alert.id, "waiting")));
  byId("notice").setAttribute("aria-live", byId("notice").dataset.waits ? "off" : "polite");
  byId("notice").dataset.waits = "yes";
  tell(`The quota is used up. Going on in ${seconds} s.`, "warn");
}

function end() {
  run = null;
  showRunning(false);
  draw();
  byId("notice").setAttribute("aria-live", "polite");
  tell(...finalWords(results.counts()));
}

function begin(ids, key) {
  showKeyProblem("");
  keepKey(key, byId("keep").checked);
  delete byId("notice").dataset.waits;
  tell("");
  progress.restart();
  showRunning(true);
  run = new Run((id, signal) => askIps(id, key, signal), listenerOf(watchQuota(key)));
  run.add(ids);
  drawSoon();
}

/** The key in the form, or null after it has been said what is wrong with it. */
function usableKey() {
  const key = byId("key").value.trim();
  if (isKey(key)) return key;
  showKeyProblem(key === "" ? "Enter the key of the gateway." : "A key has no spaces and no special letters.");
  return null;
}

function start() {
  const { ids } = idsIn(byId("ids").value);
  if (run !== null) return;
  if (ids.length === 0) {
    tell("Paste at least one alert id.", "bad");
    return byId("ids").focus();
  }
  const key = usableKey();
  if (key === null) return;
  results = new Results(ids);
  byId("results").hidden = false;
  table.show(results.all);
  begin(ids, key);
}

function askAgain(ids) {
  const key = usableKey();
  if (key === null) return;
  ids.forEach((id) => table.update(results.set(id, "waiting")));
  if (run === null) begin(ids, key);
  else run.add(ids);
}

async function copy() {
  const copied = await copyText(csvOf(results.all, stateWords));
  if (copied) tell(`Copied ${plural(results.all.length, "alert")} as CSV.`, "good");
  else tell("The browser does not allow copying.", "bad");
}

// --- joining -----------------------------------------------------------------------------------------

byId("key").value = keptKey();
byId("keep").checked = keptKey() !== "";
byId("keep").addEventListener("change", () => keepKey(byId("key").value.trim(), byId("keep").checked));
byId("ids").addEventListener("input", showIdCount);
byId("ids").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) start();
});
byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
byId("stop").addEventListener("click", () => {
  run?.stop();
  byId("start").focus();
});
byId("retry").addEventListener("click", () => askAgain(results.unfinished.map((alert) => alert.id)));
byId("copy").addEventListener("click", copy);
onSharedRow(byId("shared-rows"), (row) => picture.point({ row, column: null }));
showIdCount();
