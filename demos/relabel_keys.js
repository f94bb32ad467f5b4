// The keys of the page to label. Fields keep theirs, and so do the browser and the system (Ctrl, Alt, Meta).

import { byId, reveal } from "./relabel_view.js";

export function toggleModel() {
  reveal("model", "show-model", byId("model").hidden);
}

export function toggleComment() {
  reveal("comment", "show-comment", byId("comment").hidden);
  if (!byId("comment").hidden) byId("comment").focus();
}

// Hand keys on: `isOpen()` says whether an item is shown, `choose(verdict, label)` and `undo()` do what they say.
export function listen({ isOpen, choose, undo }) {
  const acts = {
    ArrowRight: () => move(1),
    ArrowDown: () => move(1),
    ArrowLeft: () => move(-1),
    ArrowUp: () => move(-1),
    0: () => choose("none", null),
    n: () => choose("none", null),
    s: () => choose("skip", null),
    m: toggleModel,
    c: toggleComment,
    "/": () => byId("search").focus(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const field = event.target.closest("input, textarea");
    if (field) return onFieldKey(event, field, isOpen());
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "u" && !event.repeat) return undo();
    if (!isOpen()) return;
    const button = /^[1-9]$/.test(key) ? byId("labels").children[Number(key) - 1] : null;
    const act = button ? () => choose("label", button.lastElementChild.textContent) : acts[key];
    if (!act || (event.repeat && !key.startsWith("Arrow"))) return;
    event.preventDefault();
    act();
  });
}

function onFieldKey(event, field, open) {
  if (event.key === "Escape") byId("text").focus();
  if (field.id !== "search" || !open) return;
  const buttons = byId("labels").children;
  if (event.key === "ArrowDown") buttons[0]?.focus();
  else if (event.key === "Enter" && buttons.length === 1) buttons[0].click();
  else if (event.key === "Enter") buttons[0]?.focus();
  else return;
  event.preventDefault();
}

function move(by) {
  const buttons = [...byId("labels").children];
  const place = buttons.indexOf(document.activeElement);
  const next = place < 0 ? (by > 0 ? 0 : buttons.length - 1) : (place + by + buttons.length) % buttons.length;
  buttons[next]?.focus();
}
