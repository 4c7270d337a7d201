// The toolbar, which sets planes, window and zoom of all panels together, and the clock of a case.
import { word } from "./words.js";

export class Clock {
  constructor() {
    this.hidden = 0;
    this.since = null;
    document.addEventListener("visibilitychange", () => this.changed());
    this.start();
  }

  start() {
    [this.begin, this.hidden, this.since] = [performance.now(), 0, document.hidden ? performance.now() : null];
  }

  changed() {
    if (document.hidden) this.since = performance.now();
    else if (this.since !== null) [this.hidden, this.since] = [this.hidden + performance.now() - this.since, null];
  }

  // The instructions cover the case: the time until they are closed counts as hidden.
  cover(isCovered) {
    if (isCovered && this.since === null) this.since = performance.now();
    else if (!isCovered && !document.hidden) this.changed();
  }

  read() {
    const hidden = this.hidden + (this.since === null ? 0 : performance.now() - this.since);
    return { viewed_s: (performance.now() - this.begin - hidden) / 1000, hidden_s: hidden / 1000 };
  }
}

export class Tools {
  constructor(root, stages, kinds) {
    Object.assign(this, { root, stages, kinds, planes: "three", isInverted: false, window: [0, 1], full: 1, presets: [] });
  }

  build(display, full, keys) {
    [this.planes, this.full, this.presets] = [display.planes, full, display.presets];
    const letter = (action, at = 0) => keys.filter((key) => key.action === action)[at].shown;
    this.letters = display.presets.map((_, at) => letter("preset", at).toLowerCase());
    this.window = this.first;
    this.planeButtons = this.kinds.map((kind) => this.button(word(kind), () => this.setPlanes(kind)));
    this.presetButtons = display.presets.map((preset, at) => this.button(preset.name, () => this.preset(this.letters[at]), letter("preset", at)));
    this.low = this.number(word("low"), 0);
    this.high = this.number(word("high"), 1);
    this.inverter = this.button(word("invert"), () => this.invert(), letter("invert"));
    const zooms = [["+", 1, "zoomIn"], ["−", -1, "zoomOut"], ["=", 0, "fit"]].map(([sign, direction, name]) => {
      const button = this.button(sign, () => this.zoom(direction));
      button.setAttribute("aria-label", word(name));
      button.title = word(name);
      return button;
    });
    const group = (label, ...children) => {
      const made = document.createElement("div");
      made.className = "group";
      made.setAttribute("role", "group");
      made.setAttribute("aria-label", label);
      made.append(...children);
      return made;
    };
    this.root.replaceChildren(
      group(word("planes"), ...this.planeButtons), group("Zoom", ...zooms, this.button(word("reset"), () => this.reset(), letter("reset"))),
      group(word("windowTitle"), ...this.presetButtons, this.low.parentElement, this.high.parentElement, this.inverter),
    );
    this.show();
  }

  button(text, action, letter = "") {
    const made = document.createElement("button");
    made.type = "button";
    made.append(text, ...(letter ? [" ", Object.assign(document.createElement("kbd"), { textContent: letter })] : []));
    made.addEventListener("click", action);
    return made;
  }

  number(text, at) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "number", step: Math.max(Math.round(this.full / 50), 1) });
    input.addEventListener("change", () => {
      const window = [...this.window];
      window[at] = Number(input.value);
      if (window[0] < window[1]) this.setWindow(window);
      else this.show();
    });
    input.setAttribute("aria-label", `${word("windowTitle")} ${text}`);
    label.append(at ? "–" : "", input);
    return input;
  }

  share({ low, high }) { return [low * this.full, high * this.full]; }

  // The window with which every case starts.
  get first() { return this.share(this.presets[0]); }

  show() {
    this.planeButtons.forEach((button, at) => button.setAttribute("aria-pressed", String(this.kinds[at] === this.planes)));
    this.presetButtons.forEach((button, at) => {
      const [low, high] = this.share(this.presets[at]);
      button.setAttribute("aria-pressed", String(low === this.window[0] && high === this.window[1]));
    });
    this.inverter.setAttribute("aria-pressed", String(this.isInverted));
    [this.low.value, this.high.value] = this.window.map((value) => Math.round(value));
  }

  // Every case starts with the same window, so that readers do not compare cases under different settings.
  opened() {
    [this.window, this.isInverted] = [this.first, false];
    this.stages.panels.forEach((panel) => panel.show(this.planes));
    this.setWindow(this.window);
  }

  setPlanes(kind) {
    this.planes = kind;
    this.stages.panels.forEach((panel) => panel.show(kind));
    this.show();
  }

  setWindow(window) {
    this.window = window;
    this.stages.panels.forEach((panel) => panel.setWindow(window, this.isInverted));
    this.show();
  }

  windowMoved(panel) {
    const now = panel.window();
    if (now[0] !== this.window[0] || now[1] !== this.window[1]) this.setWindow(now);
  }

  preset(letter) { this.setWindow(this.share(this.presets[this.letters.indexOf(letter)])); }

  invert() {
    this.isInverted = !this.isInverted;
    this.setWindow(this.window);
  }

  cyclePlanes() { this.setPlanes(this.kinds[(this.kinds.indexOf(this.planes) + 1) % this.kinds.length]); }

  scrolled() { return this.planes === "three" ? "axial" : this.planes; }

  scroll(steps) {
    this.stages.panel?.scroll(this.scrolled(), steps);
    this.stages.linkTo(this.stages.panel);
  }

  scrollToEnd(isLast) {
    this.stages.panel?.scrollToEnd(this.scrolled(), isLast);
    this.stages.linkTo(this.stages.panel);
  }

  zoom(direction) { this.stages.panels.forEach((panel) => panel.zoom(direction)); }

  reset() {
    this.stages.panels.forEach((panel) => panel.reset());
    this.opened();
  }
}
