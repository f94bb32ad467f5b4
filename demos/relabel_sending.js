// Sending: what the page to label keeps in this browser, and how it asks the server.
//
// An answer is one entry of the browser's storage, so that two tabs never write over each other's.

const TIMEOUT_MS = 15_000;

// Storage is the browser's, or this page's where the browser has none or it is full.
const memory = new Map();
const storage = (() => {
  try {
    localStorage.setItem("tidegate:probe", "");
    localStorage.removeItem("tidegate:probe");
    return localStorage;
  } catch {
    return null;
  }
})();

export const recall = (key) => memory.get(key) ?? storage?.getItem(key) ?? null;

export function remember(key, value) {
  try {
    if (storage) return storage.setItem(key, value);
  } catch {
    // full: this page keeps it for as long as it is open
  }
  return memory.set(key, value);
}

export function forget(key) {
  memory.delete(key);
  storage?.removeItem(key);
}

// Answers that the server may not have yet.
export class Outbox {
  constructor(at, annotator) {
    this.prefix = `tidegate:answer:${at}:${annotator}:`;
  }

  // Those of this person, the oldest first.
  all() {
    const names = new Set([...memory.keys(), ...Object.keys(storage ?? {})]);
    const mine = [...names].filter((name) => name.startsWith(this.prefix));
    const found = mine.map((name) => ({ id: name.slice(this.prefix.length), ...JSON.parse(recall(name)) }));
    return found.sort((one, other) => one.at - other.at);
  }

  keep(id, body) {
    const last = this.all().at(-1);
    remember(this.prefix + id, JSON.stringify({ ...body, at: Math.max(Date.now(), last ? last.at + 1 : 0) }));
  }

  drop(id) {
    forget(this.prefix + id);
  }
}

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// Whether the same request may well succeed later.
export const passing = (error) => !(error instanceof Refused) || error.status === 429 || error.status >= 500;

// GET, or POST where there is a body; raises `Refused` with the server's words, or what `fetch` raises.
export async function ask(url, annotator, body) {
  const headers = { "x-annotator": encodeURIComponent(annotator) };
  const options = { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  }
  const answer = await fetch(url, options);
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.detail || `the server answered ${answer.status}`);
}
