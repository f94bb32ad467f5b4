// Follows the live figures: asks for the points that came since, draws them, and says when the server is not heard.
// A hidden tab asks for nothing. Plots are silent for those who hear the page; a sentence is told once a minute.

import { draw, shown } from "./live_plots.js";

const MOST_WAIT = 30;
const SAY_EVERY = 60_000;
const root = document.body.dataset.root;
const model = new URLSearchParams(location.search).get("model") ?? "";
const frames = [...document.querySelectorAll("[data-plot]")];
const state = document.getElementById("live-state");
const pause = document.getElementById("pause");
const lead = document.querySelector(".lead");

let points = [];
let paused = false;
let failures = 0;
let timer = 0;
let asking = false;
let heard = "";
let saidAt = Date.now();

function say(text, loud = false) {
  state.textContent = text;
  state.setAttribute("aria-live", loud ? "polite" : "off");
}

function take(told) {
  const newest = told.points.at(-1)?.at ?? points.at(-1)?.at ?? 0;
  points = [...points, ...told.points].filter(({ at }) => at > newest - told.kept);
  for (const frame of frames) draw(frame, points, told.kept / 60);
  fill(told.rows);
  if (Date.now() - saidAt > SAY_EVERY) {
    saidAt = Date.now();
    lead.textContent = told.said;
  }
}

function fill(rows) {
  const body = document.querySelector("#now tbody");
  if (!body) {
    if (rows.length) location.reload(); // the page was made before there was anything to show
    return;
  }
  body.replaceChildren(
    ...rows.map(([name, ...values]) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      row.append(head);
      for (const value of values) {
        const cell = row.insertCell();
        cell.textContent = shown(value);
        if (typeof value === "number" || value === null) cell.className = "number";
      }
      return row;
    }),
  );
}

async function ask() {
  const since = points.at(-1)?.at ?? 0;
  const query = new URLSearchParams({ since, ...(model && { model }) });
  const answer = await fetch(`${root}/dashboard/live.json?${query}`, { signal: AbortSignal.timeout(20_000) });
  if (answer.status === 401 || answer.status === 403) {
    const link = document.createElement("a");
    link.href = `${root}/login`;
    link.textContent = "Sign in";
    say("This server asks for a key. ", true);
    state.append(link);
    return false;
  }
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  take(await answer.json());
  return true;
}

async function poll() {
  clearTimeout(timer);
  if (paused || document.hidden || asking) return;
  asking = true;
  let wait = 2;
  try {
    if (!(await ask())) return;
    failures = 0;
    heard = new Date().toLocaleTimeString();
    say(`Newest figures: ${heard}`);
  } catch {
    failures += 1;
    wait = Math.min(2 ** failures, MOST_WAIT);
    say(`No answer from the server since ${heard || "the page was opened"}; asking again in ${wait} s.`, failures === 1);
  } finally {
    asking = false;
  }
  if (!paused) timer = setTimeout(poll, wait * 1_000);
}

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Go on" : "Pause";
  if (paused) {
    clearTimeout(timer);
    say(`Paused; newest figures: ${heard}`, true);
  } else poll();
});
document.addEventListener("visibilitychange", poll);
lead.setAttribute("role", "status");
document.querySelector("select[name=model]").addEventListener("change", (event) => event.target.form.requestSubmit());
say("Asking for figures");
poll();
