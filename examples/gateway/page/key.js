// The API key: in memory, or in this tab's session storage if its user says so. It never goes anywhere else.

const NAME = "mde-gateway-key";

// Storage may be forbidden.
function stored(work) {
  try { return work(sessionStorage); } catch { return null; }
}

export const keptKey = () => stored((storage) => storage.getItem(NAME)) ?? "";

export function keepKey(key, keep) {
  stored((storage) => (keep && key !== "" ? storage.setItem(NAME, key) : storage.removeItem(NAME)));
}

/** What may stand in a header. */
export const isKey = (key) => /^[\x21-\x7e]+$/u.test(key);
