// Runs before the page is painted, so that a chosen theme does not flash; `page.js` has the switch.
(() => {
  try {
    const theme = localStorage.getItem("tidegate-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // storage is switched off: the page follows the browser
  }
})();
