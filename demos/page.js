// What Gradio's own parts would need a file route for: reads a chosen file into a hidden field, and makes a download
// out of another. Nothing leaves the page but the questions that Gradio sends; the server checks the file again.
// And says why a question was refused, of which Gradio shows no more than "Error" where it is past its queue.

const MOST_BYTES = 1_000_000;
const SHOWN_MS = 10_000;

function field(name) {
  return document.querySelector(`.${name} textarea, .${name} input`);
}

function write(name, value) {
  const target = field(name);
  // Past the framework's own copy of the value, and then told as if it had been typed.
  const prototype = Object.getPrototypeOf(target);
  Object.getOwnPropertyDescriptor(prototype, "value").set.call(target, value);
  target.dispatchEvent(new Event("input", { bubbles: true }));
}

// Spreadsheets of Western Windows still save CSV in that system's encoding.
function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

async function take(input) {
  const [file] = input.files;
  if (!file) return;
  const named = document.querySelector(".tg-file-name");
  input.value = "";
  if (file.size > MOST_BYTES) {
    named.textContent = `${file.name} has ${file.size.toLocaleString("en")} bytes; ${MOST_BYTES.toLocaleString("en")} are the most.`;
    return;
  }
  named.textContent = file.name;
  document.querySelector(".tg-file").classList.add("tg-has-file");
  write("tg-file-content", decoded(await file.arrayBuffer()));
}

function drop() {
  document.querySelector(".tg-file-name").textContent = "";
  document.querySelector(".tg-file").classList.remove("tg-has-file");
  write("tg-file-content", "");
}

function download() {
  // The mark lets spreadsheets read it as UTF-8.
  const url = URL.createObjectURL(new Blob(["\ufeff", field("tg-download-content").value], { type: "text/csv" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: "answers.csv" });
  link.click();
  URL.revokeObjectURL(url);
}

function say(message) {
  document.querySelector(".tg-refused")?.remove();
  const said = Object.assign(document.createElement("div"), { className: "tg-refused tg-problem" });
  said.setAttribute("role", "alert");
  said.textContent = message.charAt(0).toUpperCase() + message.slice(1);
  document.querySelector(".gradio-container").append(said);
  setTimeout(() => said.remove(), SHOWN_MS);
}

const ask = window.fetch;
window.fetch = async (address, options) => {
  const answer = await ask(address, options);
  if (!answer.ok && String(address).includes("/gradio_api/run/")) {
    const problem = await answer.clone().json().catch(() => ({}));
    say(problem.detail ?? `the server answered ${answer.status}`);
  }
  return answer;
};

document.addEventListener("change", (event) => {
  if (event.target.matches(".tg-file input[type=file]")) take(event.target);
});
document.addEventListener("click", (event) => {
  if (event.target.closest(".tg-drop")) drop();
  else if (event.target.closest(".tg-download")) download();
});
