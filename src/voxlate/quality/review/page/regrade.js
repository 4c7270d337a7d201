// The re-grading page: six tiles and five questions per scan; each scan is saved separately.
import { Refused, call, enter } from "./api.js";
import { keyTable, listen } from "./keyboard.js";
import { Tiles } from "./tiles.js";

const find = (id) => document.getElementById(id);
const GRADES = [["0", "0", "0"], ["1", "1", "1"], ["2", "2", "2"]];
const QUESTIONS = [ // choices: value, text, digit
  { name: "proper", text: "A T1-weighted image of a whole head?", choices: [["yes", "Yes", "1"], ["no", "No", "2"]] },
  { name: "contrast", text: "Loss of contrast", choices: GRADES },
  { name: "motion", text: "Motion", choices: GRADES },
  { name: "noise", text: "Noise", choices: GRADES },
  { name: "agent", text: "Taken after gadolinium?", choices: [["yes", "Yes", "1"], ["no", "No", "2"], ["unknown", "Unsure", "3"]] },
];
const MEANINGS = {
  scrollUp: "change slice", scrollDown: "change slice", toFirst: "first, last slice", toLast: "first, last slice",
  tileBefore: "change tile", tileAfter: "change tile", zoomIn: "zoom", zoomOut: "zoom", background: "background window",
  enlarge: "one large tile", reset: "reset all tiles", choose: "answer", submit: "save, next scan", before: "change scan", after: "change scan",
};
const GRADED = ["contrast", "motion", "noise"];

const tiles = new Tiles(find("tiles"));
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

function build(shortcuts) {
  for (const question of QUESTIONS) {
    const choices = question.choices.map(([value, text, digit]) =>
      make("label", { class: "choice" },
        make("input", { type: "radio", name: question.name, value, "data-digit": digit }),
        make("span", {}, text), ...(text === digit ? [] : [make("kbd", {}, digit)])));
    find("fields").append(make("fieldset", { id: question.name },
      make("legend", {}, question.text), make("div", { class: "scale row" }, ...choices)));
  }
  find("help-keys").append(keyTable(shortcuts, ({ action }) => MEANINGS[action]));
}

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;

function follow() {
  for (const name of GRADED) find(name).disabled = chosen("proper") === "no";
  for (const { name } of QUESTIONS) find(name).classList.toggle("current", name === current());
}

// The question that a digit answers: the one in focus, else the first open one, else the last one.
function current() {
  const names = QUESTIONS.map(({ name }) => name).filter((name) => !find(name).disabled);
  return names.find((name) => find(name).contains(document.activeElement)) ?? names.find((name) => chosen(name) === undefined) ?? names.at(-1);
}

// Answers the marked question and goes on to the next open one.
function choose(digit) {
  const input = find(current()).querySelector(`input[data-digit="${digit}"]`);
  if (!input || !isShown) return false;
  input.checked = true;
  answered();
  return true;
}

function count() {
  find("progress").max = items.length;
  find("progress").value = Object.keys(gradesByScan).length;
  find("count").textContent = `scan ${index + 1} of ${items.length}, ${Object.keys(gradesByScan).length} graded`;
}

// While keys are on, an answered question gives up the focus, so that the next digit answers the next one.
function answered() {
  if (find("keys").checked) release();
  follow();
}

function release() {
  if (find("fields").contains(document.activeElement)) document.activeElement.blur();
}

// The picture is there at once; the slices, which scroll, follow when the server has read the scan.
async function showScan(key) {
  const isOpen = () => items[index] === key;
  isShown = false;
  tiles.clear();
  const picture = new Image();
  picture.src = `api/items/${key}/picture`;
  try {
    await picture.decode();
  } catch {
    if (isOpen()) find("fault").textContent = "The picture could not be loaded; load the page again.";
    return;
  }
  if (!isOpen()) return;
  tiles.openPicture(picture);
  isShown = true;
  tell("Reading the scan …");
  try {
    const scan = await call("GET", `api/items/${key}/slices`);
    if (!isOpen()) return;
    await tiles.open(key, scan);
    if (!isOpen()) return;
    tell("");
    const next = items[index + 1];
    if (next) call("GET", `api/items/${next}/slices`).catch(() => undefined); // read ahead; a fault is shown when it is opened
  } catch (error) {
    if (isOpen()) tell(error instanceof Refused ? `No scrolling: ${error.message} (${error.code})` : "No scrolling: the server does not answer.");
  }
}

function tell(text) {
  find("told").textContent = text;
  find("told").hidden = !text;
}

function show() {
  const key = items[index];
  const before = gradesByScan[key];
  showScan(key);
  find("answer").reset();
  const old = before && { proper: before.proper ? "yes" : "no", agent: before.agent, ...before.grades };
  for (const question of QUESTIONS) {
    const value = old?.[question.name] ?? (question.name === "agent" ? "unknown" : undefined);
    const input = document.querySelector(`input[name="${question.name}"][value="${value}"]`);
    if (input) input.checked = true;
  }
  release();
  follow();
  count();
  find("before").disabled = index === 0;
  find("after").disabled = index === items.length - 1;
  find("fault").textContent = "";
}

function move(step) {
  const to = Math.min(Math.max(index + step, 0), items.length - 1);
  if (to === index) return;
  index = to;
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

function bind(shortcuts) {
  find("answer").addEventListener("submit", save);
  find("answer").addEventListener("change", answered);
  for (const kind of ["focusin", "focusout"]) find("answer").addEventListener(kind, () => queueMicrotask(follow));
  find("before").addEventListener("click", () => move(-1));
  find("after").addEventListener("click", () => move(1));
  listen(() => shortcuts, {
    scrollUp: () => { tiles.active.scroll(1); }, scrollDown: () => { tiles.active.scroll(-1); },
    toFirst: () => { tiles.active.go(1); }, toLast: () => { tiles.active.go(Infinity); },
    tileBefore: () => tiles.step(-1), tileAfter: () => tiles.step(1), zoomIn: () => tiles.active.zoom(1), zoomOut: () => tiles.active.zoom(-1),
    background: () => tiles.active.toggleBackground(), enlarge: () => tiles.enlarge(), reset: () => tiles.reset(),
    choose, submit: () => find("answer").requestSubmit(), before: () => move(-1), after: () => move(1),
  }, () => !find("keys").checked);
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
  build(state.keys);
  bind(state.keys);
  show();
}

start().catch((error) => notice("Cannot open the page", error.message));
