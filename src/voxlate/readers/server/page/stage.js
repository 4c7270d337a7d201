// Two stages of one or two panels each: one shows the open case while the next case is loaded and drawn in the other.
import { readImage } from "./api.js";
import { Panel } from "./panel.js";

class Stage {
  constructor(root, onMoved) {
    this.element = document.createElement("div");
    this.element.className = "stage";
    this.element.inert = true;
    root.append(this.element);
    this.onMoved = onMoved;
    this.panels = [];
    this.trial = null;
    this.ready = null;
  }

  async grow(count, names) {  // names: one for each panel; a single panel shows none
    while (this.panels.length < count) {
      const element = document.createElement("div");
      element.className = "panel";
      element.tabIndex = 0;
      element.setAttribute("role", "group");
      element.append(Object.assign(document.createElement("span"), { className: "side" }), document.createElement("canvas"));
      this.element.append(element);
      this.panels.push(await new Panel(element, this.onMoved).attach());
    }
    this.element.classList.toggle("pair", count > 1);
    this.panels.forEach((panel, at) => {
      panel.element.hidden = at >= count;
      panel.element.setAttribute("aria-label", names[at] ?? "");
      panel.element.querySelector(".side").textContent = count > 1 ? names[at] ?? "" : "";
    });
  }

  prepare(trial, settings) {
    if (this.trial === trial.id) return this.ready;
    this.trial = trial.id;
    const load = async () => {
      const slots = [...Array(trial.panels).keys()];
      const [buffers] = await Promise.all([Promise.all(slots.map((slot) => readImage(trial.id, slot))), this.grow(trial.panels, settings.names(trial))]);
      for (const slot of slots) {
        this.panels[slot].show(settings.planes);
        await this.panels[slot].load(buffers[slot], settings.window);
      }
      await Promise.all(slots.map((slot) => this.panels[slot].finished()));
    };
    this.ready = load().catch((error) => { this.trial = null; throw error; });
    return this.ready;
  }

  shown() { return this.panels.filter((panel) => !panel.element.hidden); }
}

export class Stages {
  constructor(root, onMoved) {
    this.pair = [new Stage(root, onMoved), new Stage(root, onMoved)];
    this.active = 0;
  }

  get panels() { return this.pair[0].shown(); }
  get panel() { return this.panels[this.active] ?? this.panels[0]; }

  // Shows a trial, without delay if it was prepared.
  async open(trial, settings) {
    if (this.pair[1].trial === trial.id) this.pair.reverse();
    await this.pair[0].prepare(trial, settings);
    this.pair.forEach((stage, at) => { stage.element.classList.toggle("shown", at === 0); stage.element.inert = at !== 0; });
    this.focusPanel(0);
  }

  prepareNext(trial, settings) { return this.pair[1].prepare(trial, settings); }

  focusPanel(at) {
    this.active = Math.min(at, this.panels.length - 1);
    this.panels.forEach((panel, number) => panel.element.classList.toggle("active", number === this.active));
  }

  linkTo(source) { this.panels.filter((panel) => panel !== source).forEach((panel) => panel.follow(source)); }
}
