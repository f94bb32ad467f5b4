// The threshold's slider: moves the lines and the numbers at once, from the counts that the page carries.
// Without it, the form around the slider asks the server for the same numbers.

const counts = document.getElementById("counts");
const slider = document.querySelector("#threshold input[type=range]");

// Wilson's 95 % interval of a share, as `tidegate.intervals` has it.
function wilson(share, rows) {
  const z = 1.96 ** 2 / rows;
  const center = (share + z / 2) / (1 + z);
  const half = Math.sqrt(z * (share * (1 - share) + z / 4)) / (1 + z);
  return [Math.max(0, center - half), Math.min(1, center + half)];
}

const number = new Intl.NumberFormat("en-US");
const percent = (share) => `${(share * 100).toFixed(1)}%`;

function say(name, value, of) {
  document.getElementById(name).textContent = value;
  document.getElementById(`${name}-of`).textContent = of;
}

function show(known, at) {
  const place = Math.min(known.cuts.findIndex((cut) => cut >= at - 1e-9), known.cuts.length - 1);
  const rows = known.reached[place];
  const right = known.right[place];
  const wrong = known.rows - known.right[0];
  const held = wrong - rows + right;
  document.getElementById("chosen").textContent = at.toFixed(2);
  say("coverage", percent(rows / known.rows), `${number.format(rows)} of ${number.format(known.rows)} rows`);
  say("abstained", percent(1 - rows / known.rows), `${number.format(known.rows - rows)} rows`);
  say("caught", wrong ? percent(held / wrong) : "none", `${number.format(held)} of ${number.format(wrong)}`);
  if (rows) {
    const [low, high] = wilson(right / rows, rows);
    say("precision", percent(right / rows), `95 % interval ${(low * 100).toFixed(1)} to ${percent(high)}`);
  } else {
    say("precision", "-", "nothing is answered");
  }
  for (const line of document.querySelectorAll("svg.chart .at")) {
    const [start, end] = [Number(line.dataset.start), Number(line.dataset.end)];
    const x = start + at * (end - start);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
  }
}

if (counts && slider) {
  const known = JSON.parse(counts.textContent);
  slider.addEventListener("input", () => show(known, Number(slider.value)));
  slider.addEventListener("change", () => {
    const address = new URL(location.href);
    address.searchParams.set("threshold", slider.value);
    history.replaceState(null, "", address); // the choice is in the address, as the form would put it there
  });
}
