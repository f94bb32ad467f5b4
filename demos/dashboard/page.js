// What a page of the dashboard needs a script for: the theme. Without it the page follows the browser's.

const THEMES = ["", "light", "dark"]; // "" follows the browser
const NAMES = { "": "Theme: as the browser", light: "Theme: light", dark: "Theme: dark" };

function stored() {
  try {
    return localStorage.getItem("tidegate-theme") ?? "";
  } catch {
    return ""; // storage is switched off
  }
}

function show(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  button.textContent = NAMES[theme] ?? NAMES[""];
}

const button = document.getElementById("theme");
button.hidden = false;
show(stored());
button.addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(stored()) + 1) % THEMES.length];
  try {
    localStorage.setItem("tidegate-theme", next);
  } catch {
    // shown for this page alone
  }
  show(next);
});
