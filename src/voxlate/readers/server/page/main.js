// The page of a reader study: shows one case at a time, keeps drafts, and sends answers until the server has them.
import { Refused, enter, leave, noteInstructed, openPage, readState, sendDraft } from "./api.js";
import { Incomplete, buildForm } from "./forms.js";
import { openInstructions } from "./instructions.js";
import { listen } from "./keyboard.js";
import { deliver, forget, waiting } from "./outbox.js";
import { PLANES } from "./panel.js";
import { Stages } from "./stage.js";
import { Clock, Tools } from "./tools.js";
import { speak, word } from "./words.js";

const DRAFT_PAUSE_MS = 400;
const find = (id) => document.getElementById(id);
const newKey = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

let state = null;
let page = null;
let form = null;
let trial = null;
let practice = null; // the practice cases and the number of the open one; null outside of the practice
let isBusy = false;
let submission = null;
let draftTimer = 0;
const clock = new Clock();
const stages = new Stages(find("stages"), (panel) => { stages.linkTo(panel); tools.windowMoved(panel); });
const tools = new Tools(find("tools"), stages, PLANES);

function say(text, isPending = false) {
  find("saved").textContent = text;
  find("saved").classList.toggle("pending", isPending);
}

function notice(title, text, action) {
  const [heading, line, button] = ["h2", "p", "button"].map((name) => find("notice").querySelector(name));
  [heading.textContent, line.textContent, button.hidden] = [title, text, !action];
  if (action) [button.textContent, button.onclick] = action;
  find("notice").hidden = false;
}

function warn(text, action) {
  find("alert").hidden = false;
  find("alert").querySelector("p").textContent = text;
  const button = find("alert").querySelector("button");
  button.hidden = !action;
  if (action) [button.textContent, button.onclick] = action;
}

function settled() {
  find("alert").hidden = true;
  find("notice").hidden = true;
}

// The next case is drawn ahead of time with the settings it will be opened with, so that opening it draws nothing.
const settings = () => ({ window: tools.first, planes: tools.planes, names: panelNames });
// A single image, or the two versions of a case, with the scan that one of them was made from on the left of both.
const panelNames = (trial) => trial.panels === 1 ? [word("image")] : [...(trial.has_source ? [word("source")] : []), word("left"), word("right")];

async function takeOver() {
  page = (await openPage()).page;
  settled();
  await refresh();
}

async function refresh() {
  state = await readState();
  await retry();
  await show();
}

// Sends an answer that was left in the browser by a crash or a reload.
async function retry() {
  const left = waiting(state.reader);
  if (!left) return;
  try {
    await deliver(state.reader, { ...left, page }, () => say(word("offline"), true));
  } catch (error) {
    if (error.code === "OTHER_WINDOW") throw error;
    forget(state.reader);
  }
  state = await readState();
}

function showProgress() {
  find("title").textContent = state.title;
  document.title = state.title;
  find("progress").max = state.total;
  find("progress").value = state.done;
  find("count").textContent = `${Math.min(state.done + 1, state.total)} / ${state.total}`;
  find("practice").hidden = true;
  find("submit").firstElementChild.textContent = word("next");
  find("protocol").textContent = `${state.reader} · protocol ${state.protocol} · ${state.data_kind}`;
}

async function show() {
  showProgress();
  if (state.opens_at) return notice(word("waiting"), `${word("waitingText")} ${new Date(state.opens_at).toLocaleString(document.documentElement.lang)}`, [word("reload"), guarded(refresh)]);
  if (!state.trial?.id) return notice(word("done"), word("doneText"));
  if (state.introduction.is_due) return introduce();
  await showTrial(state.trial, JSON.parse(state.draft ?? "null"));
  find("back").hidden = !state.previous;
  prepareNext();
  return undefined;
}

function introduce() {
  const cases = state.introduction.practice;
  instruct(cases.length ? "goPractice" : "goStudy", guarded(cases.length ? () => practise(cases, 0) : begin));
}

function instruct(go, onClosed) {
  const about = { title: state.title, leastSeconds: state.display.minimum_view_s, go };
  openInstructions(find("instructions"), state.introduction, about, onClosed);
}

// The instructions again, over the open case; the time until they are closed does not count as viewing it.
function instructAgain() {
  if (!state) return;
  clock.cover(true);
  instruct("goOn", () => clock.cover(false));
}

// Practice answers never leave this page; the server has no place for them.
async function practise(cases, at) {
  if (at === cases.length) return notice(word("practiceOver"), word("practiceOverText"), [word("goStudy"), guarded(begin)]);
  practice = { cases, at };
  find("practice").hidden = false;
  find("back").hidden = true;
  [find("progress").max, find("progress").value] = [cases.length, at];
  find("count").textContent = `${word("practiceCount")} ${at + 1} / ${cases.length}`;
  find("submit").firstElementChild.textContent = word("nextPractice");
  await showTrial(cases[at], null);
  if (at + 1 < cases.length) prepare(cases[at + 1]);
  return undefined;
}

async function begin() {
  practice = null;
  await noteInstructed({ page, trial: state.trial.id });
  state = await readState();
  settled();
  await show();
}

async function showTrial(next, content) {
  trial = next;
  submission = newKey();
  performance.mark("case-wanted");
  find("viewer").setAttribute("aria-busy", "true");
  buildAnswer(content);
  scrollTo(0, 0); // on a narrow screen the images are above the answer
  find("answer").scrollTop = 0;
  const slow = setTimeout(() => say(word("loading")), 150);
  await stages.open(trial, settings());
  clearTimeout(slow);
  tools.opened();
  clock.start();
  find("viewer").removeAttribute("aria-busy");
  if (find("saved").textContent === word("loading")) say("");
  stages.panel.element.focus({ preventScroll: true });
  await drawn();
  if (!practice) performance.measure(`case-${trial.position}`, "case-wanted");
}

// The picture is visible after two frames. A hidden window draws no frames, so the wait ends after one second.
function drawn() {
  const frames = new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  return Promise.race([frames, new Promise((resolve) => setTimeout(resolve, 1000))]);
}

function buildAnswer(content) {
  find("question").textContent = trial.design.question || word(trial.design.kind);
  form = buildForm(find("fields"), trial.design, { voxel: () => stages.panel.voxel(), goTo: (voxel) => { stages.panel.goTo(voxel); stages.linkTo(stages.panel); } });
  form.restore(content?.form ?? null);
  find("comment").value = content?.comment ?? "";
  find("fault").textContent = "";
}

function prepareNext() {
  if (state.next?.id) prepare(state.next);
}

function prepare(next) {
  // An error here is harmless: the case is loaded again when it is opened, and an error then is shown.
  stages.prepareNext(next, settings()).then(drawn).then(() => performance.mark(`ready-${next.position}`), () => undefined);
}

function keepDraft() {
  if (practice) return;
  clearTimeout(draftTimer);
  const kept = { page, trial: trial.id, content: JSON.stringify({ form: form.content(), comment: find("comment").value }) };
  draftTimer = setTimeout(() => sendDraft(kept).catch((error) => { if (error.code === "OTHER_WINDOW") failed(error); }), DRAFT_PAUSE_MS);
}

// Nothing is answered before its case is visible.
const isCovered = () => !form || !find("notice").hidden || find("viewer").hasAttribute("aria-busy");

async function submit() {
  if (isBusy || isCovered()) return undefined;
  find("fault").textContent = "";
  if (practice) return practised();
  const timing = clock.read();
  if (timing.viewed_s < state.display.minimum_view_s) throw new Incomplete(word("tooEarly"));
  const answer = { submission, page, trial: trial.id, answer: form.answer(), comment: find("comment").value, timing };
  isBusy = true;
  find("submit").disabled = true;
  clearTimeout(draftTimer);
  say(word("saving"));
  try {
    const upcoming = trial.id === state.trial.id ? state.next : state.trial;
    await deliver(state.reader, answer, () => say(word("offline"), true));
    say(word("saved"));
    settled();
    await advance(upcoming);
  } finally {
    isBusy = false;
    find("submit").disabled = false;
  }
  return undefined;
}

async function practised() {
  form.answer(); // throws Incomplete, as it will in the study
  await practise(practice.cases, practice.at + 1);
}

// Shows the next case from what is loaded already, before the server's answer arrives; a new question starts with its instructions.
async function advance(upcoming) {
  const fresh = readState();
  const isSameQuestion = upcoming?.id && !upcoming.is_first;
  if (isSameQuestion) await showTrial(upcoming, null);
  state = await fresh;
  if (!isSameQuestion || state.trial?.id !== trial.id) return show();
  showProgress();
  find("back").hidden = !state.previous;
  prepareNext();
  return undefined;
}

function failed(error) {
  if (error instanceof Incomplete) {
    find("fault").textContent = error.message;
  } else if (error instanceof Refused && error.status === 401) {
    notice(error.code === "LINK" ? error.message : word("signIn"), word("signInText"));
  } else if (error instanceof Refused && error.code === "OTHER_WINDOW") {
    say("");
    warn(word("otherWindow"), [word("takeOver"), guarded(continueHere)]);
  } else {
    warn(error.message, [word("reload"), () => location.reload()]);
  }
}

// Takes over from another window and keeps the answers filled in here if the same case is still open.
async function continueHere() {
  const before = trial && { id: trial.id, form: form.content(), comment: find("comment").value };
  if (state) forget(state.reader);
  await takeOver();
  if (before && trial?.id === before.id) {
    form.restore(before.form);
    find("comment").value = before.comment;
  }
}

const guarded = (action) => (...given) => Promise.resolve().then(() => action(...given)).catch(failed);

async function back() {
  if (!state.previous) return;
  await showTrial(state.previous, { form: null, comment: state.previous.given.comment });
  form.restore(form.given(state.previous.given.answer));
  find("back").hidden = true;
}

function choose(digit) {
  if (isCovered()) return false;
  const isChosen = form.choose(Number(digit));
  if (isChosen) keepDraft();
  return isChosen;
}

function toAnswer() {
  const first = find("fields").querySelector("input:checked, input, button");
  (first ?? find("answer")).focus();
}

async function signOut() {
  await leave();
  page = null;
  notice(word("left_"), word("signInText"));
}

async function start() {
  const token = /^#(.+)$/.exec(location.hash)?.[1];
  if (token) {
    history.replaceState(null, "", location.pathname);
    try {
      await enter(token);
    } catch (error) {
      // A used link is harmless if this browser is signed in already.
      if (error.status !== 401) throw error;
      await readState().catch(() => { throw error; });
    }
  }
  state = await readState();
  speak(state.display.language);
  tools.build(state.display, state.levels - 1, state.introduction.keys);
  await takeOver();
}

find("answer").addEventListener("submit", (event) => { event.preventDefault(); guarded(submit)(); });
for (const kind of ["change", "input"]) find("answer").addEventListener(kind, () => trial && keepDraft());
find("back").addEventListener("click", guarded(back));
find("leave").addEventListener("click", guarded(signOut));
find("help-open").addEventListener("click", instructAgain);
find("stages").addEventListener("contextmenu", (event) => event.preventDefault());
find("stages").addEventListener("focusin", (event) => {
  const at = stages.panels.findIndex((panel) => panel.element.contains(event.target));
  if (at >= 0) stages.focusPanel(at);
});
listen(() => (state ? state.introduction.keys : []), {
  scrollUp: () => tools.scroll(1), scrollDown: () => tools.scroll(-1), toFirst: () => tools.scrollToEnd(false), toLast: () => tools.scrollToEnd(true),
  cyclePlanes: () => tools.cyclePlanes(), zoomIn: () => tools.zoom(1), zoomOut: () => tools.zoom(-1), fit: () => tools.zoom(0),
  invert: () => tools.invert(), reset: () => tools.reset(), preset: (letter) => tools.preset(letter),
  nextPanel: () => { stages.focusPanel((stages.active + 1) % stages.panels.length); stages.panel.element.focus(); },
  toViewer: () => { stages.panel?.element.focus(); }, toAnswer, choose, notAssessable: () => !isCovered() && form.notAssessable(), mark: () => !isCovered() && form.mark(),
  submit: () => { guarded(submit)(); }, instructions: instructAgain,
}, () => !stages.panels.length);
guarded(start)();
