// The answer form of each design: its fields, what is still missing, and the answer that is sent.
// Text from the study enters the page as text, never as markup.
import { word } from "./words.js";

export class Incomplete extends Error {}

export function make(element, properties = {}, ...children) {
  const made = Object.assign(document.createElement(element), properties);
  made.append(...children);
  return made;
}

export const CONFIDENCE = {
  4: ["certainlyReal", "probablyReal", "probablySynthetic", "certainlySynthetic"],
  5: ["certainlyReal", "probablyReal", "undecided", "probablySynthetic", "certainlySynthetic"],
  6: ["certainlyReal", "probablyReal", "maybeReal", "maybeSynthetic", "probablySynthetic", "certainlySynthetic"],
};

// A group of radio buttons. Digits choose an option, wherever the focus is.
class Choice {
  constructor(name, legend, options, { isRow = false, ends = null } = {}) {
    this.inputs = options.map(({ value }) => make("input", { type: "radio", name, value }));
    const labels = options.map(({ text, key }, at) => make("label", { className: "choice" }, this.inputs[at], make("span", { className: "mark" }), make("span", { textContent: text }), ...(key ? [make("kbd", { textContent: key })] : [])));
    this.element = make("fieldset", {}, make("legend", { textContent: legend }), make("div", { className: isRow ? "scale row" : "scale" }, ...labels));
    if (ends) this.element.append(make("p", { className: "ends" }, ...ends.map((text) => make("span", { textContent: text }))));
  }

  get value() { return this.inputs.find((input) => input.checked)?.value ?? null; }

  set value(value) { for (const input of this.inputs) input.checked = input.value === String(value); }

  choose(number) {
    const input = this.inputs[number - 1];
    if (!input) return false;
    input.checked = true;
    input.focus({ preventScroll: true });
    input.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  }
}

class SingleChoice {
  constructor(container, legend, options, toAnswer) {
    this.choice = new Choice("answer", legend, options);
    this.toAnswer = toAnswer;
    container.append(this.choice.element);
  }

  choose(number) { return this.choice.choose(number); }
  content() { return this.choice.value; }
  restore(content) { this.choice.value = content; }

  answer() {
    if (this.choice.value === null) throw new Incomplete(word("needAnswer"));
    return this.toAnswer(this.choice.value);
  }
}

function confidence(container, design) {
  const options = CONFIDENCE[design.levels].map((name, at) => ({ value: at + 1, text: word(name), key: String(at + 1) }));
  const form = new SingleChoice(container, "", options, (value) => ({ kind: "real_or_synthetic", confidence: Number(value) }));
  form.given = (answer) => answer.confidence;
  return form;
}

function choice(container) {
  const options = [{ value: "left", text: word("leftSynthetic"), key: "1" }, { value: "right", text: word("rightSynthetic"), key: "2" }];
  const form = new SingleChoice(container, "", options, (side) => ({ kind: "forced_choice", side }));
  form.given = (answer) => answer.side;
  return form;
}

class Similarity {
  constructor(container, design) {
    this.rows = design.structures.map((name, at) => this.row(name, at));
    container.append(
      make("p", { className: "ends" }, make("span", { textContent: `0 ${design.anchors[0]}` }), make("span", { textContent: `100 ${design.anchors[1]}` })),
      make("p", { className: "hint", textContent: word("similarityHint") }),
      make("div", { className: "structures" }, ...this.rows.map((row) => row.element)),
    );
  }

  row(name, at) {
    const range = make("input", { type: "range", min: 0, max: 100, step: 5, value: 50, id: `structure-${at}` });
    const output = make("output", { textContent: word("unset") });
    const absent = make("input", { type: "checkbox" });
    const row = { name, range, absent, isSet: false };
    row.show = () => {
      range.disabled = absent.checked;
      row.element.classList.toggle("open", !row.isSet && !absent.checked);
      output.textContent = absent.checked ? "–" : row.isSet ? `${range.value} %` : word("unset");
      range.setAttribute("aria-valuetext", output.textContent);
    };
    row.element = make("div", { className: "structure open" }, make("label", { htmlFor: range.id, textContent: name }), output, make("label", { className: "absent" }, absent, word("notAssessable")), range);
    for (const kind of ["input", "click"]) range.addEventListener(kind, () => { row.isSet = true; row.show(); });
    absent.addEventListener("change", row.show);
    row.show();
    return row;
  }

  // The structure in focus, else the first open one, else the last one.
  current() {
    const focused = this.rows.find(({ range, absent }) => [range, absent].includes(document.activeElement));
    const row = focused ?? this.rows.find((one) => !one.isSet && !one.absent.checked) ?? this.rows.at(-1);
    if (!focused) (row.absent.checked ? row.absent : row.range).focus();
    return row;
  }

  notAssessable() {
    const row = this.current();
    row.absent.click();
    if (row.absent.checked) row.absent.focus();
  }

  // A digit sets a structure to ten times the digit; 0 stands for 100.
  choose(number) {
    const row = this.current();
    if (row.absent.checked) return false;
    row.range.value = number === 0 ? 100 : number * 10;
    row.isSet = true;
    row.show();
    row.range.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  }

  content() { return this.rows.map((row) => (row.absent.checked ? "absent" : row.isSet ? Number(row.range.value) : null)); }

  restore(content) {
    this.rows.forEach((row, at) => {
      const value = content?.[at] ?? null;
      row.absent.checked = value === "absent";
      row.isSet = typeof value === "number";
      if (row.isSet) row.range.value = value;
      row.show();
    });
  }

  given(answer) { return this.rows.map(({ name }) => answer.scores[name] ?? "absent"); }

  answer() {
    const open = this.rows.filter((row) => !row.isSet && !row.absent.checked);
    if (open.length) {
      open[0].range.focus();
      throw new Incomplete(word("needAll") + open.map((row) => row.name).join(", "));
    }
    return { kind: "similarity", scores: Object.fromEntries(this.rows.map((row) => [row.name, row.absent.checked ? null : Number(row.range.value)])) };
  }
}

class Quality {
  constructor(container, design) {
    const options = [...Array(design.levels).keys()].map((at) => ({ value: at + 1, text: String(at + 1) }));
    this.items = design.items;
    this.choices = design.items.map((item, at) => new Choice(`item-${at}`, item, options, { isRow: true, ends: [`1 ${word("worst")}`, `${design.levels} ${word("best")}`] }));
    container.append(...this.choices.map((one) => one.element));
  }

  choose(number) {
    const focused = this.choices.findIndex((one) => one.element.contains(document.activeElement));
    const at = focused >= 0 ? focused : Math.max(this.choices.findIndex((one) => one.value === null), 0);
    const isChosen = this.choices[at].choose(number);
    const next = this.choices[at + 1];
    if (isChosen && next?.value === null) next.inputs[0].focus();
    return isChosen;
  }

  content() { return this.choices.map((one) => one.value); }
  restore(content) { this.choices.forEach((one, at) => { one.value = content?.[at]; }); }
  given(answer) { return this.items.map((item) => answer.grades[item]); }

  answer() {
    const open = this.items.filter((_, at) => this.choices[at].value === null);
    if (open.length) throw new Incomplete(word("needAll") + open.join(", "));
    return { kind: "quality", grades: Object.fromEntries(this.items.map((item, at) => [item, Number(this.choices[at].value)])) };
  }
}

class Marks {
  constructor(container, design, viewer) {
    [this.levels, this.viewer, this.marks] = [design.levels, viewer, []];
    this.list = make("ul", { className: "marks" });
    this.add = make("button", { type: "button" }, `${word("addMark")} `, make("kbd", { textContent: "M" }));
    this.none = make("input", { type: "checkbox" });
    this.add.addEventListener("click", () => this.mark());
    this.none.addEventListener("change", () => this.show());
    const none = make("label", { className: "choice" }, this.none, make("span", { className: "mark" }), make("span", { textContent: word("noLesion") }));
    container.append(make("p", { className: "hint", textContent: word("marksHint") }), this.list, make("div", { className: "scale" }, this.add, none));
  }

  mark() {
    this.marks.push({ voxel: this.viewer.voxel(), confidence: this.levels });
    this.none.checked = false;
    this.changed();
  }

  remove(at) {
    this.marks.splice(at, 1);
    this.changed();
    this.add.focus();
  }

  changed() {
    this.show();
    this.list.dispatchEvent(new Event("change", { bubbles: true }));
  }

  show() {
    if (this.none.checked) this.marks = [];
    this.none.disabled = this.marks.length > 0;
    this.list.replaceChildren(...this.marks.map((mark, at) => this.line(mark, at)));
  }

  line(mark, at) {
    const select = make("select", { ariaLabel: `${word("confidence")} ${at + 1}` });
    for (let level = 1; level <= this.levels; level += 1) select.append(new Option(`${word("confidence")} ${level}/${this.levels}`, level));
    select.value = mark.confidence;
    select.addEventListener("change", () => { mark.confidence = Number(select.value); });
    const show = make("button", { type: "button", textContent: `${at + 1}: ${word("goTo")}` });
    show.addEventListener("click", () => this.viewer.goTo(mark.voxel));
    const remove = make("button", { type: "button", textContent: word("remove") });
    remove.addEventListener("click", () => this.remove(at));
    return make("li", {}, show, select, remove);
  }

  choose(number) {
    if (!this.marks.length || number < 1 || number > this.levels) return false;
    this.marks.at(-1).confidence = number;
    this.show();
    return true;
  }

  content() { return { marks: this.marks, none: this.none.checked }; }

  restore(content) {
    this.marks = content?.marks ?? [];
    this.none.checked = Boolean(content?.none);
    this.show();
  }

  given(answer) { return { marks: answer.marks, none: answer.marks.length === 0 }; }

  answer() {
    if (!this.marks.length && !this.none.checked) throw new Incomplete(word("needMarks"));
    return { kind: "marks", marks: this.marks };
  }
}

export function buildForm(container, design, viewer) {
  container.replaceChildren();
  switch (design.kind) {
    case "real_or_synthetic": return confidence(container, design);
    case "forced_choice": return choice(container);
    case "similarity": return new Similarity(container, design);
    case "quality": return new Quality(container, design);
    default: return new Marks(container, design, viewer);
  }
}
