// The re-grading page: one picture and five questions per scan; each scan is saved separately.
import { Refused, call, enter } from "./api.js";

const find = (id) => document.getElementById(id);
const QUESTIONS = [
  { name: "proper", text: "A T1-weighted image of a whole head?", keys: "qw", choices: [["yes", "Yes"], ["no", "No"]] },
  { name: "contrast", text: "Loss of contrast", keys: "asd", choices: [["0", "0"], ["1", "1"], ["2", "2"]] },
  { name: "motion", text: "Motion", keys: "fgh", choices: [["0", "0"], ["1", "1"], ["2", "2"]] },
  { name: "noise", text: "Noise", keys: "jkl", choices: [["0", "0"], ["1", "1"], ["2", "2"]] },
  { name: "agent", text: "Taken after gadolinium?", keys: "uio", choices: [["yes", "Yes"], ["no", "No"], ["unknown", "Can't tell"]] },
];
const GRADED = ["contrast", "motion", "noise"];

let items = [];
let gradesByScan = {};
let index = 0;
let isSaving = false;
let isShown = false;

function make(kind, attributes, ...children) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function build() {
  for (const question of QUESTIONS) {
    const choices = question.choices.map(([value, text], number) =>
      make("label", { class: "choice" },
        make("input", { type: "radio", name: question.name, value, "data-key": question.keys[number] }),
        make("span", {}, text), make("kbd", {}, question.keys[number].toUpperCase())));
    find("fields").append(make("fieldset", { id: question.name },
      make("legend", {}, question.text), make("div", { class: "scale row" }, ...choices)));
  }
}

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;

function follow() {
  for (const name of GRADED) find(name).disabled = chosen("proper") === "no";
}

function count() {
  find("progress").max = items.length;
  find("progress").value = Object.keys(gradesByScan).length;
  find("count").textContent = `scan ${index + 1} of ${items.length}, ${Object.keys(gradesByScan).length} graded`;
}

function show() {
  const key = items[index];
  const before = gradesByScan[key];
  isShown = false;
  find("picture").removeAttribute("src"); // the picture of the last scan must not appear with the new questions
  find("picture").onload = () => { isShown = items[index] === key; };
  find("picture").onerror = () => { find("fault").textContent = "The picture could not be loaded; load the page again."; };
  find("picture").src = `api/items/${key}/picture`;
  find("picture").alt = `Scan ${index + 1}: axial, coronal and sagittal slices`;
  find("answer").reset();
  const old = before && { proper: before.proper ? "yes" : "no", agent: before.agent, ...before.grades };
  for (const question of QUESTIONS) {
    const value = old?.[question.name] ?? (question.name === "agent" ? "unknown" : undefined);
    const input = document.querySelector(`input[name="${question.name}"][value="${value}"]`);
    if (input) input.checked = true;
  }
  follow();
  count();
  find("before").disabled = index === 0;
  find("after").disabled = index === items.length - 1;
  find("fault").textContent = "";
}

function move(step) {
  index = Math.min(Math.max(index + step, 0), items.length - 1);
  show();
}

async function save(event) {
  event.preventDefault();
  if (isSaving) return;
  const proper = chosen("proper");
  const isIncomplete = proper === undefined || (proper === "yes" && GRADED.some((name) => chosen(name) === undefined));
  if (isIncomplete || !isShown) {
    find("fault").textContent = isIncomplete ? "Answer all open questions." : "Wait until the picture is loaded.";
    return;
  }
  const grades = proper === "yes" ? Object.fromEntries(GRADED.map((name) => [name, Number(chosen(name))])) : {};
  const entry = { proper: proper === "yes", agent: chosen("agent"), grades };
  const key = items[index];
  isSaving = true;
  find("submit").setAttribute("aria-disabled", "true");
  try {
    await call("POST", "api/grades", { item: key, proper: entry.proper, agent: entry.agent, ...grades });
    gradesByScan[key] = entry;
    find("saved").textContent = `Saved scan ${items.indexOf(key) + 1}.`;
    if (items[index] === key) move(1);
    else count();
  } catch (error) {
    find("fault").textContent = error instanceof Refused ? error.message : "Not saved: the server does not answer.";
  } finally {
    isSaving = false;
    find("submit").removeAttribute("aria-disabled");
  }
}

function notice(title, text) {
  find("notice").querySelector("h2").textContent = title;
  find("notice").querySelector("p").textContent = text;
  find("notice").hidden = false;
}

function listen() {
  find("answer").addEventListener("submit", save);
  find("answer").addEventListener("change", follow);
  find("before").addEventListener("click", () => move(-1));
  find("after").addEventListener("click", () => move(1));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === "Enter" && (event.target === document.body || event.target.tagName === "INPUT")) {
      event.preventDefault();
      find("answer").requestSubmit();
      return;
    }
    if (!find("keys").checked) return;
    const input = document.querySelector(`input[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (input && !input.closest("fieldset").disabled) {
      input.checked = true;
      follow();
    }
  });
}

async function start() {
  const token = location.hash.slice(1);
  if (token) {
    history.replaceState(null, "", location.pathname);
    await enter(token);
  }
  const state = await call("GET", "api/state");
  [items, gradesByScan] = [state.items, state.said];
  if (!items.length) return notice("Nothing to grade", "No scan of this folder could be read.");
  index = Math.max(items.findIndex((key) => !gradesByScan[key]), 0);
  build();
  listen();
  show();
}

start().catch((error) => notice("Cannot open the page", error.message));
