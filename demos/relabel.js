// The page to label: shows an item, keeps the next one ready, and brings answers home whatever happens to the server.
//
// An answer is written into this browser's storage before anything else, and leaves it when the server has stored it;
// what a lost connection, a restart or a reload interrupts is sent again, and counts once (the server sees to that).
// Talking to the server is one chain of steps, so that answers, undoing and fetching never overtake each other.
import { listen, toggleComment, toggleModel } from "./relabel_keys.js";
import { Outbox, ask as request, forget, passing, recall, remember } from "./relabel_sending.js";
import { account, bars, byId, labels, named, progress, reveal, say, sentence } from "./relabel_view.js";

const AHEAD = 2; // items held: the one on the screen and the next
const CLICK_MS = 400; // a second click that soon was meant for the item before
const KEY_MS = 150;
const LOOK_MS = 15_000; // how often an empty queue is asked again
const RETRY_MS = [1_000, 2_000, 4_000, 8_000, 15_000];

const page = document.getElementById("page");
const at = page.dataset.at;
const channel = "BroadcastChannel" in window ? new BroadcastChannel(`tidegate:${at}`) : null;

let annotator = page.dataset.annotator;
let outbox = new Outbox(at, annotator);
let items = []; // the first is on the screen
let done = []; // items answered here, the last one last
let answered = new Set();
let shown = null;
let shownAt = 0;
let lookedMs = 0; // at the item, while the page was hidden left out
let stopped = false;
let cutOff = false; // from the server, as the page says
let retries = 0;
let retryTimer = 0;
let chain = Promise.resolve();

const ask = (path, body) => request(`${at}/${path}`, annotator, body);

function step(work) {
  chain = chain.then(work).then(calm, trouble);
  return chain;
}

function calm() {
  if (outbox.all().length) return;
  retries = 0;
  clearTimeout(retryTimer);
}

function trouble(error) {
  cutOff = true;
  const kept = outbox.all().length;
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
  for (const answer of outbox.all()) {
    const { id, at: _, ...body } = answer;
    let outcome;
    try {
      outcome = await ask(`items/${encodeURIComponent(id)}`, body);
    } catch (error) {
      if (passing(error) || error.status === 401 || error.status === 403) throw error;
      outbox.drop(id);
      cutOff = false;
      say("trouble", `An answer was not taken: ${error.message}.`);
      continue;
    }
    outbox.drop(id);
    reconnected();
    say("status", account(body, outcome));
    progress(outcome.progress);
  }
}

function reconnected() {
  if (cutOff) say("trouble", "");
  cutOff = false;
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
  reconnected();
  progress(fresh.progress);
  draw();
}

// --- what people do ---

function choose(verdict, label, waitMs) {
  if (!shown || performance.now() - shownAt < waitMs) return;
  const item = items.shift();
  const seconds = Math.min(86_400, Math.round(watched()) / 1_000);
  const comment = byId("comment").value.trim();
  outbox.keep(item.id, { verdict, label, seconds, comment });
  done.push(item);
  answered.add(item.id);
  say("status", `${named(verdict, label)} …`);
  if (!cutOff) say("trouble", "");
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
    const here = last && outbox.all().some((answer) => answer.id === last.id);
    if (here) outbox.drop(last.id);
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
    const extra = items.splice(AHEAD);
    stopped = false;
    say("status", "Taken back; answer again.");
    draw();
    for (const other of extra) await ask(`items/${encodeURIComponent(other.id)}/release`, {});
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
  search();
  bars(item);
  if (moved) byId("text").focus({ preventScroll: true });
}

function search() {
  labels(shown.labels, byId("search").value, (label, event) => choose("label", label, event.detail ? CLICK_MS : KEY_MS));
}

function watched() {
  return lookedMs + (document.hidden ? 0 : performance.now() - shownAt);
}

// --- clicks and time ---

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
  outbox = new Outbox(at, annotator);
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
    if (outbox.all().length) return; // not before they are sent
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
byId("search").addEventListener("input", search);
listen({
  isOpen: () => Boolean(shown),
  choose: (verdict, label) => choose(verdict, label, KEY_MS),
  undo: () => annotator && undo(),
});
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
