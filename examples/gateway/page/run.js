// Asks for many alerts, a few at once, and waits as one when the gateway says so.
//
//     const run = new Run((id, signal) => askIps(id, key, signal), {
//       asked(id) {}, answered(id, answer) {}, waits(seconds) {}, ended(unasked) {},
//     });
//     run.add(["da1", "da2"]);
//     run.stop();
//
// It neither knows the page nor keeps results.

export const AT_ONCE = 6;
const MOST_WAITS = 10; // of one alert
const TICK_MS = 1000;

export class Run {
  #ask; #listener; #queue = []; #inFlight = new Set(); #waits = new Map();
  #controller = new AbortController();
  #until = 0; #timer = null; #ended = false;

  constructor(ask, listener) {
    this.#ask = ask;
    this.#listener = listener;
  }

  /** More to ask for, also while it runs. */
  add(ids) {
    this.#queue.push(...ids);
    this.#pump();
  }

  /** Nothing more is sent; what is under way is given up. */
  stop() {
    if (this.#ended) return;
    const unasked = [...this.#inFlight, ...this.#queue];
    this.#queue = [];
    this.#inFlight.clear();
    this.#controller.abort();
    this.#end(unasked);
  }

  #end(unasked) {
    this.#ended = true;
    clearInterval(this.#timer);
    this.#listener.ended(unasked);
  }

  #pump() {
    while (!this.#ended && !this.#timer && this.#inFlight.size < AT_ONCE && this.#queue.length > 0) {
      this.#send(this.#queue.shift());
    }
    if (!this.#ended && this.#inFlight.size + this.#queue.length === 0) this.#end([]);
  }

  async #send(id) {
    this.#inFlight.add(id);
    this.#listener.asked(id);
    const answer = await this.#ask(id, this.#controller.signal);
    if (this.#ended) return;
    this.#inFlight.delete(id);
    this.#take(id, answer);
    this.#pump();
  }

  #take(id, answer) {
    const waits = this.#waits.get(id) ?? 0;
    if (answer.problem?.status !== 429 || waits >= MOST_WAITS) return this.#listener.answered(id, answer);
    this.#waits.set(id, waits + 1);
    this.#queue.unshift(id);
    this.#pause(answer.problem.retryAfter);
  }

  // Several may be told to wait at once: the longest counts.
  #pause(seconds) {
    this.#until = Math.max(this.#until, Date.now() + seconds * 1000);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  #tick() {
    const left = Math.ceil((this.#until - Date.now()) / 1000);
    if (left <= 0) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
    this.#listener.waits(Math.max(0, left));
    if (left <= 0) this.#pump();
  }
}
