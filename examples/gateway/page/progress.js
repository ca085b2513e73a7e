// How far it is: a bar, counts, and now and then a sentence for those who listen.

import { byId, element, setText } from "./dom.js";
import { plural } from "./words.js";

const SPOKEN_STEPS = 4; // a sentence at each quarter

const finished = (counts) => counts.done + counts.failed + counts.stopped;

const item = (className, count, word) =>
  element("li", { class: className }, element("strong", {}, String(count)), ` ${word}`);

function items(counts) {
  const optional = [["failed", counts.failed, "failed"], ["stopped", counts.stopped, "stopped"]];
  return [
    item("done", counts.done, `of ${counts.total} done`),
    item("asking", counts.asking + counts.waiting, "to go"),
    ...optional.filter(([, count]) => count > 0).map((parts) => item(...parts)),
  ];
}

export class Progress {
  #step = 0;

  restart() { this.#step = 0; }

  show(counts) {
    byId("progress").max = counts.total;
    byId("progress").value = finished(counts);
    byId("counts").replaceChildren(...items(counts));
    this.#speak(counts);
  }

  #speak(counts) {
    const step = Math.floor((finished(counts) / counts.total) * SPOKEN_STEPS);
    if (step === this.#step || step === SPOKEN_STEPS) return; // the end is told by a notice
    this.#step = step;
    setText(byId("announcement"), `${finished(counts)} of ${plural(counts.total, "alert")} finished`);
  }
}
