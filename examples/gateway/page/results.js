// What is known of each alert: { number, id, state, ips, cached, problem }.
//
// The states: waiting, asking, done, failed, stopped. A number is the alert's place in what was pasted.

const UNFINISHED = new Set(["failed", "stopped"]);

export class Results {
  #alerts = new Map();

  constructor(ids) {
    ids.forEach((id, index) => {
      this.#alerts.set(id, { number: index + 1, id, state: "waiting", ips: [], cached: false, problem: null });
    });
  }

  get all() { return [...this.#alerts.values()]; }

  get unfinished() { return this.all.filter((alert) => UNFINISHED.has(alert.state)); }

  /** The alert, in its new state. */
  set(id, state, facts = {}) {
    const fresh = { ips: [], cached: false, problem: null };
    return Object.assign(this.#alerts.get(id), fresh, facts, { state });
  }

  take(id, answer) {
    return answer.problem ? this.set(id, "failed", answer) : this.set(id, "done", answer);
  }

  /** { total, done, failed, stopped, waiting, asking } */
  counts() {
    const counts = { total: this.#alerts.size, done: 0, failed: 0, stopped: 0, waiting: 0, asking: 0 };
    for (const alert of this.#alerts.values()) counts[alert.state] += 1;
    return counts;
  }
}
