// The gateway's two questions. Neither throws: an answer is { ips, cached } or { windows }, or else { problem }.
//
// A problem is { status, title, detail, retryAfter }; status 0: there was no answer.

const LONGEST_MS = 60000;
const WITHOUT_RETRY_AFTER = 5; // seconds

const problem = (status, title, detail = "") => ({ problem: { status, title, detail, retryAfter: 0 } });

const textOr = (value, otherwise) => (typeof value === "string" && value !== "" ? value : otherwise);

const secondsIn = (...values) => values.map(Number).find((value) => Number.isFinite(value) && value > 0);

async function refusal(response) {
  const body = (await response.json().catch(() => null)) ?? {};
  return {
    problem: {
      status: response.status,
      title: textOr(body.title, `Status ${response.status}`),
      detail: textOr(body.detail, ""),
      retryAfter: secondsIn(response.headers.get("Retry-After"), body.retry_after) ?? WITHOUT_RETRY_AFTER,
    },
  };
}

const HABITS = { cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" };

async function get(path, key, signal) {
  const response = await fetch(path, { ...HABITS, headers: { Authorization: `Bearer ${key}` }, signal });
  return response.ok ? response.json() : refusal(response);
}

// AbortSignal.any and AbortSignal.timeout are too young.
async function withinTime(signal, work) {
  const both = new AbortController();
  const abort = () => both.abort();
  const timer = setTimeout(abort, LONGEST_MS);
  signal?.addEventListener("abort", abort);
  try {
    return await work(both.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

async function ask(path, key, signal) {
  try {
    return await withinTime(signal, (limited) => get(path, key, limited));
  } catch {
    return problem(0, "No answer", "The gateway cannot be reached, or its answer is broken.");
  }
}

const isTexts = (value) => Array.isArray(value) && value.every((item) => typeof item === "string");

/** { ips, cached } or { problem }. */
export async function askIps(id, key, signal) {
  const answer = await ask(`/v1/alerts/${encodeURIComponent(id)}/ips`, key, signal);
  if (answer?.problem) return { problem: answer.problem };
  if (!isTexts(answer?.ips)) return problem(0, "Odd answer", "The gateway's answer has no list of addresses.");
  return { ips: [...new Set(answer.ips)], cached: answer.cached === true };
}

/** { windows: [[60, 97], [3600, 1420]], seconds } or { problem }. */
export async function askQuota(key) {
  const answer = await ask("/v1/quota", key);
  if (answer?.problem) return { problem: answer.problem };
  const windows = Object.entries(answer?.windows ?? {}).map(([seconds, left]) => [Number(seconds), Number(left)]);
  return { windows: windows.sort(([a], [b]) => a - b), seconds: Number(answer?.seconds) || 0 };
}
