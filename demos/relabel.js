// The page to label: shows an item, keeps the next one ready, and brings answers home whatever happens to the server.
//
// An answer is written into this browser's storage before anything else, and leaves it when the server has stored it;
// what a lost connection, a restart or a reload interrupts is sent again, and counts once (the server sees to that).
// Talking to the server is one chain of steps, so that answers, undoing and fetching never overtake each other.
"use strict";

const AHEAD = 2; // items held: the one on the screen and the next
const CLICK_MS = 400; // a second click that soon was meant for the item before
const KEY_MS = 150;
const TIMEOUT_MS = 15_000;
const LOOK_MS = 15_000; // how often an empty queue is asked again
const RETRY_MS = [1_000, 2_000, 4_000, 8_000, 15_000];
const MOST_BARS = 8;

const page = document.getElementById("page");
const at = page.dataset.at;
const byId = (id) => document.getElementById(id);
const channel = "BroadcastChannel" in window ? new BroadcastChannel(`tidegate:${at}`) : null;

let annotator = page.dataset.annotator;
let items = []; // the first is on the screen
let done = []; // items answered here, the last one last
let answered = new Set();
let shown = null;
let shownAt = 0;
let lookedMs = 0; // at the item, while the page was hidden left out
let stopped = false;
let retries = 0;
let retryTimer = 0;
let chain = Promise.resolve();

// --- storage: this browser's, or this page's where the browser has none ---

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
const recall = (key) => (storage ? storage.getItem(key) : (memory.get(key) ?? null));
const forget = (key) => (storage ? storage.removeItem(key) : memory.delete(key));
const names = () => (storage ? Object.keys(storage) : [...memory.keys()]);

function remember(key, value) {
  try {
    if (storage) return storage.setItem(key, value);
  } catch {
    // full: this page keeps it for as long as it is open
  }
  return memory.set(key, value);
}

const prefix = () => `tidegate:answer:${at}:${annotator}:`;

function unsent() {
  const keys = new Set([...names(), ...memory.keys()].filter((key) => key.startsWith(prefix())));
  const found = [...keys].map((key) => ({ id: key.slice(prefix().length), ...JSON.parse(recall(key) ?? memory.get(key)) }));
  return found.sort((one, other) => one.at - other.at);
}

function drop(id) {
  forget(prefix() + id);
  memory.delete(prefix() + id);
}

// --- the server ---

class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(path, body) {
  const headers = { "x-annotator": encodeURIComponent(annotator) };
  const options = { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  }
  const answer = await fetch(`${at}/${path}`, options);
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.detail || `the server answered ${answer.status}`);
}

// Whether the same request may well succeed later.
const passing = (error) => !(error instanceof Refused) || error.status === 429 || error.status >= 500;

function step(work) {
  chain = chain.then(work).then(calm, trouble);
  return chain;
}

function calm() {
  if (unsent().length) return;
  retries = 0;
  clearTimeout(retryTimer);
}

function trouble(error) {
  const kept = unsent().length;
  const keeps = kept ? ` ${kept === 1 ? "One answer is" : `${kept} answers are`} kept in this browser until then.` : "";
  if (passing(error)) {
    say("trouble", `The server cannot be reached; trying again.${keeps}`);
    clearTimeout(retryTimer);
    retryTimer = setTimeout(sync, RETRY_MS[Math.min(retries++, RETRY_MS.length - 1)]);
  } else if (error.status === 401) {
    say("trouble", `You are signed out.${keeps} `);
    const link = document.createElement("a");
    Object.assign(link, { href: page.dataset.login, textContent: "Sign in, then come back here." });
    byId("trouble").append(link);
  } else {
    say("trouble", `${sentence(error.message)}${keeps}`);
  }
  draw();
}

const sync = () => step(() => send().then(refill));

async function send() {
  for (const answer of unsent()) {
    const { id, at: _, ...body } = answer;
    let outcome;
    try {
      outcome = await ask(`items/${encodeURIComponent(id)}`, body);
    } catch (error) {
      if (passing(error) || error.status === 401 || error.status === 403) throw error;
      drop(id);
      say("trouble", `An answer was not taken: ${error.message}.`);
      continue;
    }
    drop(id);
    say("trouble", "");
    tell(body, outcome);
  }
}

async function refill(force = false) {
  if (stopped || (!force && items.length >= AHEAD)) return;
  const fresh = await ask(`items?count=${AHEAD}`);
  const until = performance.now() + 1_000 * Math.min(...fresh.items.map((item) => item.lease_seconds), 86_400);
  const open = fresh.items.filter((item) => !answered.has(item.id)).map((item) => ({ ...item, until }));
  const lost = items.length > 0 && !open.some((item) => item.id === items[0].id);
  if (lost) say("status", "Your time for that text had run out, so it went back to the queue; here is the next.");
  const order = new Map(items.map((item, place) => [item.id, place]));
  items = open.sort((one, other) => (order.get(one.id) ?? AHEAD) - (order.get(other.id) ?? AHEAD));
  if (!unsent().length) say("trouble", "");
  progress(fresh.progress);
  draw();
}

// --- what people do ---

function choose(verdict, label, waitMs) {
  if (!shown || performance.now() - shownAt < waitMs) return;
  const item = items.shift();
  const seconds = Math.min(86_400, Math.round(watched()) / 1_000);
  const comment = byId("comment").value.trim();
  const last = unsent().at(-1);
  const order = Math.max(Date.now(), last ? last.at + 1 : 0);
  remember(prefix() + item.id, JSON.stringify({ verdict, label, seconds, comment, at: order }));
  done.push(item);
  answered.add(item.id);
  say("status", `${named(verdict, label)} …`);
  channel?.postMessage(item.id);
  draw();
  sync();
}

function undo() {
  step(async () => {
    await send().catch((error) => {
      if (!passing(error)) throw error; // else the last answer is still here, and is taken back here
    });
    const last = done.at(-1);
    const here = last && unsent().some((answer) => answer.id === last.id);
    if (here) drop(last.id);
    let item = last;
    if (!here) {
      const undone = await ask("undo", {}).catch((error) => {
        if (passing(error)) throw error;
        say("status", sentence(error.message));
      });
      if (!undone) return;
      progress(undone.progress);
      item = { ...undone.item, until: performance.now() + 1_000 * undone.item.lease_seconds };
    }
    done = done.filter((other) => other.id !== item.id);
    answered.delete(item.id);
    items = [item, ...items.filter((other) => other.id !== item.id)];
    stopped = false;
    say("status", "Taken back; answer again.");
    draw();
  });
}

function stop(after = () => {}) {
  stopped = true;
  const held = items;
  items = [];
  draw();
  step(async () => {
    await send();
    for (const item of held) await ask(`items/${encodeURIComponent(item.id)}/release`, {});
    say("status", "");
  }).then(after);
}

// --- what people see ---

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
const named = (verdict, label) => ({ none: "Not a case for these labels", skip: "Skipped" })[verdict] ?? label;

function say(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
  if (id === "trouble") place.hidden = !text;
}

function tell(body, outcome) {
  const parts = [body.verdict === "skip" ? "Skipped." : `Saved: ${named(body.verdict, body.label)}.`];
  const told = outcome.told;
  if (told?.kind === "gold") parts.push(told.right ? "This was a test, and you were right." : `This was a test: ${told.label} is right.`);
  else if (told?.others === 1) parts.push(told.agreed ? "Another annotator said the same." : "Another annotator said something else.");
  else if (told) parts.push(`${told.agreed} of ${told.others} others said the same.`);
  if (!outcome.held) parts.push("Your time for it had run out, so somebody else may be asked, too; your answer counts.");
  say("status", parts.join(" "));
  progress(outcome.progress);
}

function progress(counts) {
  const { compared, agreed, tests, right } = counts.agreement;
  const parts = [`${counts.waiting} waiting`, `${counts.today} done today, ${counts.mine_today} by you`];
  if (compared) parts.push(`others agreed ${agreed} of ${compared} times`);
  if (tests) parts.push(`${right} of ${tests} tests right`);
  say("progress", parts.join(" · "));
}

function draw() {
  byId("name").hidden = Boolean(annotator);
  byId("who").hidden = !annotator;
  byId("who").firstElementChild.textContent = `as ${annotator}`;
  byId("who").lastElementChild.hidden = Boolean(page.dataset.annotator);
  byId("item").hidden = !items.length;
  byId("stopped").hidden = !stopped;
  byId("empty").hidden = !annotator || stopped || items.length > 0 || !byId("trouble").hidden || !byId("progress").textContent;
  if (shown?.id !== items[0]?.id) show(items[0] ?? null);
}

function show(item) {
  const moved = shown && (document.activeElement === document.body || byId("item").contains(document.activeElement));
  shown = item;
  shownAt = performance.now();
  lookedMs = 0;
  if (!item) return;
  byId("text").textContent = item.text;
  byId("text").scrollTop = 0;
  byId("comment").value = "";
  reveal("comment", "show-comment", false);
  reveal("model", "show-model", false);
  byId("search").value = "";
  byId("search").hidden = item.labels.length <= 9;
  labels();
  bars(item);
  if (moved) byId("text").focus({ preventScroll: true });
}

function labels() {
  const wanted = byId("search").value.trim().toLocaleLowerCase();
  const found = shown.labels.filter((label) => label.toLocaleLowerCase().includes(wanted));
  const buttons = found.map((label, place) => {
    const button = document.createElement("button");
    const name = document.createElement("span");
    Object.assign(name, { textContent: label, dir: "auto" });
    button.type = "button";
    if (place < 9) {
      const key = document.createElement("kbd");
      key.textContent = String(place + 1);
      key.setAttribute("aria-hidden", "true");
      button.append(key);
      button.setAttribute("aria-keyshortcuts", key.textContent);
    }
    button.append(name);
    button.addEventListener("click", (event) => choose("label", label, event.detail ? CLICK_MS : KEY_MS));
    return button;
  });
  byId("labels").replaceChildren(...buttons);
  byId("no-label").hidden = found.length > 0;
}

function bars(item) {
  const says = document.createElement("p");
  says.textContent = `The model says: ${item.predicted}.${item.suggested ? ` Somebody reported: ${item.suggested}.` : ""}`;
  const list = document.createElement("ul");
  for (const [label, score] of Object.entries(item.scores).sort((one, other) => other[1] - one[1]).slice(0, MOST_BARS)) {
    const row = document.createElement("li");
    const [name, share, track, bar] = ["bdi", "span", "i", "b"].map((tag) => document.createElement(tag));
    name.textContent = label;
    share.textContent = `${(100 * score).toFixed(1)} %`;
    bar.style.width = `${100 * score}%`;
    track.append(bar);
    row.append(name, share, track);
    list.append(row);
  }
  byId("model").replaceChildren(says, list);
}

function reveal(id, button, visible) {
  byId(id).hidden = !visible;
  byId(button).setAttribute("aria-expanded", String(visible));
}

function watched() {
  return lookedMs + (document.hidden ? 0 : performance.now() - shownAt);
}

// --- keys, clicks, time ---

function move(by) {
  const buttons = [...byId("labels").children];
  const place = buttons.indexOf(document.activeElement);
  const next = place < 0 ? (by > 0 ? 0 : buttons.length - 1) : (place + by + buttons.length) % buttons.length;
  buttons[next]?.focus();
}

function toggleModel() {
  reveal("model", "show-model", byId("model").hidden);
}

function toggleComment() {
  reveal("comment", "show-comment", byId("comment").hidden);
  if (!byId("comment").hidden) byId("comment").focus();
}

const KEYS = {
  ArrowRight: () => move(1),
  ArrowDown: () => move(1),
  ArrowLeft: () => move(-1),
  ArrowUp: () => move(-1),
  0: () => choose("none", null, KEY_MS),
  n: () => choose("none", null, KEY_MS),
  s: () => choose("skip", null, KEY_MS),
  m: toggleModel,
  c: toggleComment,
  "/": () => byId("search").focus(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const field = event.target.closest("input, textarea");
  if (field) return onFieldKey(event, field);
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "u" && !event.repeat && annotator) return undo();
  if (!shown) return;
  const button = /^[1-9]$/.test(key) ? byId("labels").children[Number(key) - 1] : null;
  const act = button ? () => choose("label", button.lastElementChild.textContent, KEY_MS) : KEYS[key];
  if (!act || (event.repeat && !key.startsWith("Arrow"))) return;
  event.preventDefault();
  act();
}

function onFieldKey(event, field) {
  if (event.key === "Escape") byId("text").focus();
  if (field.id !== "search" || !shown) return;
  const buttons = byId("labels").children;
  if (event.key === "ArrowDown") buttons[0]?.focus();
  else if (event.key === "Enter" && buttons.length === 1) buttons[0].click();
  else if (event.key === "Enter") buttons[0]?.focus();
  else return;
  event.preventDefault();
}

function onVisibility() {
  if (document.hidden) {
    lookedMs += performance.now() - shownAt;
    return;
  }
  shownAt = performance.now();
  if (annotator) step(() => send().then(() => refill(true)));
}

function onTick() {
  if (!annotator || document.hidden || stopped) return;
  const out = shown && performance.now() > shown.until;
  if (!shown || out) step(() => send().then(() => refill(true)));
}

function begin() {
  draw();
  sync();
}

byId("name").addEventListener("submit", (event) => {
  event.preventDefault();
  annotator = byId("name-field").value.trim().normalize("NFC");
  if (annotator) remember("tidegate:annotator", annotator);
  begin();
});
byId("who").lastElementChild.addEventListener("click", () =>
  stop(() => {
    forget("tidegate:annotator");
    Object.assign(byId("name-field"), { value: annotator });
    [annotator, stopped, done, answered] = ["", false, [], new Set()];
    say("progress", "");
    draw();
    byId("name-field").focus();
  }),
);
byId("again").addEventListener("click", () => {
  stopped = false;
  begin();
});
for (const [id, verdict] of [["none", "none"], ["skip", "skip"]])
  byId(id).addEventListener("click", (event) => choose(verdict, null, event.detail ? CLICK_MS : KEY_MS));
byId("undo").addEventListener("click", undo);
byId("undo-empty").addEventListener("click", undo);
byId("stop").addEventListener("click", () => stop());
byId("show-model").addEventListener("click", toggleModel);
byId("show-comment").addEventListener("click", toggleComment);
byId("search").addEventListener("input", labels);
document.addEventListener("keydown", onKey);
document.addEventListener("visibilitychange", onVisibility);
window.addEventListener("online", () => annotator && sync());
if (channel)
  channel.onmessage = ({ data }) => {
    answered.add(data);
    if (!items.some((item) => item.id === data)) return;
    items = items.filter((item) => item.id !== data);
    draw();
    sync();
  };
setInterval(onTick, LOOK_MS);

annotator ||= recall("tidegate:annotator") ?? "";
if (annotator) begin();
else {
  draw();
  byId("name-field").focus();
}
