// What the page to label shows of an item and of an answer; everything that others wrote goes in as text, never as HTML.

const MOST_BARS = 8;

export const byId = (id) => document.getElementById(id);
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
export const named = (verdict, label) => ({ none: "Not a case for these labels", skip: "Skipped" })[verdict] ?? label;

export function say(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
  if (id === "trouble") place.hidden = !text;
}

// In words: what became of an answer, and how it compares.
export function account(body, outcome) {
  const parts = [body.verdict === "skip" ? "Skipped." : `Saved: ${named(body.verdict, body.label)}.`];
  const told = outcome.told;
  if (told?.kind === "gold")
    parts.push(told.right ? "This was a test, and you were right." : `This was a test: ${told.label} is right.`);
  else if (told?.others === 1)
    parts.push(told.agreed ? "Another annotator said the same." : "Another annotator said something else.");
  else if (told) parts.push(`${told.agreed} of ${told.others} others said the same.`);
  if (!outcome.held)
    parts.push("Your time for it had run out, so somebody else may be asked, too; your answer counts.");
  return parts.join(" ");
}

// In words: what waits, what is done, how often others agreed.
export function progress(counts) {
  const { compared, agreed, tests, right } = counts.agreement;
  const parts = [`${counts.waiting} waiting`, `${counts.today} done today, ${counts.mine_today} by you`];
  if (compared) parts.push(`others agreed ${agreed} of ${compared} times`);
  if (tests) parts.push(`${right} of ${tests} tests right`);
  say("progress", parts.join(" \u00b7 "));
}

// One button a label that has `wanted` in its name; the first nine have a key.
export function labels(all, wanted, chosen) {
  const found = all.filter((label) => label.toLocaleLowerCase().includes(wanted.trim().toLocaleLowerCase()));
  byId("labels").replaceChildren(...found.map((label, place) => labelButton(label, place, chosen)));
  byId("no-label").hidden = found.length > 0;
}

function labelButton(label, place, chosen) {
  const button = document.createElement("button");
  const name = document.createElement("span");
  Object.assign(name, { textContent: label, dir: "auto" });
  button.type = "button";
  if (place < 9) {
    const key = document.createElement("kbd");
    key.textContent = String(place + 1);
    key.setAttribute("aria-hidden", "true");
    button.setAttribute("aria-keyshortcuts", key.textContent);
    button.append(key);
  }
  button.append(name);
  button.addEventListener("click", (event) => chosen(label, event));
  return button;
}

export function bars(item) {
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

export function reveal(id, button, visible) {
  byId(id).hidden = !visible;
  byId(button).setAttribute("aria-expanded", String(visible));
}
