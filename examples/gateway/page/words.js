// Numbers and states as people say them.

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

const foundWords = (alert) => {
  const count = alert.ips.length === 0 ? "No address" : plural(alert.ips.length, "address", "addresses");
  return alert.cached ? `${count}, cached` : count;
};

/** The state of an alert; a problem's detail stands beside it. */
export function stateWords(alert) {
  switch (alert.state) {
    case "done": return foundWords(alert);
    case "failed": return alert.problem.title;
    case "asking": return "Asking";
    case "stopped": return "Stopped";
    default: return "Waiting";
  }
}

const WINDOWS = new Map([[1, "this second"], [60, "this minute"], [3600, "this hour"], [86400, "this day"]]);

export const windowWords = (seconds) => WINDOWS.get(seconds) ?? `in ${seconds} s`;

/** "#1, #4" */
export const numbersOf = (alerts) => alerts.map((alert) => `#${alert.number}`).join(", ");
