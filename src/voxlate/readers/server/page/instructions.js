// The instructions of a study: the question, the scale in words, how to look, and what happens to answers. Readers see
// them before the first case of each design, and again whenever they ask for them.
import { CONFIDENCE, make } from "./forms.js";
import { keyTable } from "./keyboard.js";
import { word } from "./words.js";

const list = (texts) => make("ul", {}, ...texts.map((textContent) => make("li", { textContent })));
const part = (title, ...children) => make("section", {}, make("h3", { textContent: title }), ...children);

function scale(rows) {
  const table = make("table", { className: "keys scale-words" });
  for (const [value, text] of rows) table.append(make("tr", {}, make("th", { scope: "row", textContent: value }), make("td", { textContent: text })));
  return table;
}

// What an answer of each design consists of, in words.
const SCALES = {
  real_or_synthetic: ({ levels }) => [scale(CONFIDENCE[levels].map((name, at) => [at + 1, word(name)]))],
  forced_choice: () => [scale([[1, word("leftSynthetic")], [2, word("rightSynthetic")]])],
  similarity: ({ structures, anchors }) => [
    scale([["0 %", anchors[0]], ["100 %", anchors[1]], ["–", word("absentMeans")]]),
    make("p", { textContent: `${word("structures")}: ${structures.join(", ")}.` }),
  ],
  quality: ({ items, levels }) => [
    scale([[1, word("worst")], [levels, word("best")]]),
    make("p", { textContent: `${word("items")}: ${items.join(", ")}.` }),
  ],
  marks: ({ levels }) => [list([word("marksHint"), word("marksConfidence", { levels }), word("marksNone")])],
};

// The meaning of a shortcut; all windows share one text, and with it one row of the table.
const meaning = (kind, keys) => ({ action }) => {
  if (action === "preset") return word("presetKey", { names: keys.filter((key) => key.action === "preset").map(({ text }) => text).join(", ") });
  return word(action === "choose" ? `choose_${kind}` : `key_${action}`);
};

function question({ design, has_source, cases, practice }) {
  const about = [word(`about_${design.kind}`), ...(has_source ? [word("aboutSource")] : []), word("aboutCases", { cases })];
  const untold = ["real_or_synthetic", "forced_choice"].includes(design.kind) ? ` ${word("practiceUntold")}` : "";
  const first = practice.length ? [word("practiceCases", { cases: practice.length }) + untold] : [];
  return part(design.question || word(design.kind), make("p", { textContent: about.join(" ") }), ...SCALES[design.kind](design), ...first.map((textContent) => make("p", { textContent })));
}

function answers({ answers: rule, session_days }, leastSeconds) {
  const seconds = leastSeconds ? [word("leastSeconds", { seconds: leastSeconds })] : [];
  return part(word("yourAnswers"), list([word(rule), word("noLimit"), ...seconds, word("goOnLater", { address: `${location.origin}/`, days: session_days })]));
}

function looking({ design, keys }) {
  const [images, answer] = ["images", "answer"].map((about) => keyTable(keys.filter((key) => key.about === about), meaning(design.kind, keys)));
  return part(word("howToLook"), list([word("mouseScroll"), word("mouseCross"), word("mouseWindow"), word("mousePan")]),
    make("h4", { textContent: word("keysImages") }), images, make("h4", { textContent: word("keysAnswer") }), answer);
}

function monitor() {
  return part(word("monitor"), make("p", { textContent: word("monitorText") }), make("div", { className: "ramp", role: "img", ariaLabel: word("monitor") }));
}

// Opens the instructions; `onClosed` runs when the reader has closed them.
export function openInstructions(dialog, introduction, { title, leastSeconds, go }, onClosed) {
  dialog.querySelector("h2").textContent = title;
  const texts = introduction.text.split(/\n\s*\n/).filter((text) => text.trim());
  const [left, right] = dialog.querySelectorAll(".column");
  left.replaceChildren(...texts.map((textContent) => make("p", { className: "told", textContent })), question(introduction), answers(introduction, leastSeconds), monitor());
  right.replaceChildren(looking(introduction));
  dialog.querySelector("button").textContent = word(go);
  dialog.onclose = onClosed;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  dialog.querySelector("button").focus({ preventScroll: true });
}
