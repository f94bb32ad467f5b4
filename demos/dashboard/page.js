// The theme switch of every page of the dashboard, and the reload of those that wait. Without a script the page follows
// the browser; `theme.js` has set what was chosen before the page was painted.

const THEMES = ["", "light", "dark"]; // "" follows the browser
const NAMES = { "": "as the browser", light: "light", dark: "dark" };

function next(theme) {
  return THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
}

function show(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  button.textContent = `Theme: ${NAMES[theme]}`;
  button.setAttribute("aria-label", `Theme: ${NAMES[theme]}. Change to ${NAMES[next(theme)]}`);
}

const button = document.getElementById("theme");
let chosen = document.documentElement.dataset.theme ?? "";
show(chosen);
button.hidden = false;
button.addEventListener("click", () => {
  chosen = next(chosen);
  show(chosen);
  try {
    if (chosen) localStorage.setItem("tidegate-theme", chosen);
    else localStorage.removeItem("tidegate-theme");
  } catch {
    // shown for this page alone
  }
});

// A page that says only "wait" loads itself again.
const wait = document.querySelector('meta[name="reload"]');
if (wait) setTimeout(() => location.reload(), Number(wait.content) * 1_000);
