// The tiles of the re-grading page: slices of one scan that scroll, zoom and say what they show.
const ZOOM_STEP = 1.25;
const MOST_ZOOM = 8; // chosen by hand: a voxel of 1 mm then covers some ten pixels
const WHEEL_STEP = 50; // pixels of a slow wheel or trackpad that make one slice; chosen by hand
const PICTURE_TILE = 200; // pixels of a tile in the picture that `voxlate grade` made
const ENDS = { axial: ["R", "L"], coronal: ["R", "L"], sagittal: ["P", "A"] };
const SIDES = { R: "the patient's right", L: "the patient's left", P: "back", A: "front" };
const NAMES = { axial: "Axial", coronal: "Coronal", sagittal: "Sagittal" };
const BACKGROUND = "background window: shows motion and ghosts";
const BACKGROUND_HELP = "Eight times as bright: the air around the head is visible. Copies of the head in the air are motion or ghosts; grain is noise.";

// What the tiles of the picture show, where the scan itself cannot be read.
const PICTURE = [["axial", "middle"], ["coronal", "middle"], ["sagittal", "middle"], ["axial", "low"], ["axial", "high"], ["axial", "middle", "background"]];

function make(kind, properties = {}, ...children) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}

class Tile {
  constructor(onActive) {
    this.name = make("b");
    this.place = make("span");
    this.window = make("span", { className: "window", title: BACKGROUND_HELP, textContent: BACKGROUND });
    this.image = make("img", { alt: "", draggable: false });
    this.ends = [make("i", { className: "from" }), make("i", { className: "to" })];
    this.frame = make("div", { className: "frame" }, this.image, ...this.ends, this.window);
    this.slider = make("input", { type: "range", min: 1, max: 1, tabIndex: -1 });
    this.element = make("figure", { className: "tile", tabIndex: 0 }, make("figcaption", {}, this.name, this.place), this.frame, this.slider);
    this.element.addEventListener("focusin", () => onActive(this));
    this.element.addEventListener("pointerdown", () => onActive(this));
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.frame.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.frame.addEventListener("dblclick", () => this.fit());
    this.drag();
    this.fit();
  }

  // Shows a slice of a scan; `first` names it, `load` returns the address of its picture.
  open(first, plane, load) {
    Object.assign(this, { first, plane, load, number: first.number, gain: first.window });
    [this.slider.max, this.slider.hidden] = [plane.count, false];
    this.frame.style.setProperty("--ratio", plane.width_mm / plane.height_mm);
    return this.go(first.number);
  }

  // Shows a tile of the picture; it does not scroll.
  openPicture([plane, place, gain], address) {
    Object.assign(this, { first: { plane }, plane: null, load: null, gain });
    this.slider.hidden = true;
    this.frame.style.setProperty("--ratio", 1);
    this.image.src = address;
    this.say(NAMES[plane], `${place} of the head`);
  }

  say(name, place) {
    const ends = ENDS[this.first.plane];
    this.name.textContent = name;
    this.place.textContent = place;
    this.window.hidden = this.gain !== "background";
    this.ends.forEach((end, at) => Object.assign(end, { textContent: ends[at], title: SIDES[ends[at]] }));
    this.image.alt = `${name}, ${place}; ${SIDES[ends[0]]} is on the left of the picture`;
    this.slider.setAttribute("aria-label", `Slice, ${name}`);
    this.element.setAttribute("aria-label", `${name}, ${place}${this.window.hidden ? "" : `, ${BACKGROUND}`}`);
  }

  go(number) {
    if (!this.plane) return undefined;
    this.number = Math.min(Math.max(number, 1), this.plane.count);
    this.slider.value = this.number;
    this.say(NAMES[this.first.plane], `slice ${this.number} of ${this.plane.count}${this.half()}`);
    return this.draw();
  }

  // Slices arrive in any order: only the one that is wanted now is shown.
  async draw() {
    const wanted = `${this.number} ${this.gain}`;
    this.wanted = wanted;
    const address = await this.load(this.first.plane, this.number, this.gain).catch(() => null);
    if (this.wanted !== wanted) return;
    if (address) this.image.src = address;
    for (const next of [this.number + 1, this.number - 1]) {
      if (next >= 1 && next <= this.plane?.count) this.load(this.first.plane, next, this.gain).catch(() => null);
    }
  }

  half() {
    if (this.first.plane !== "sagittal") return "";
    const off = this.number - this.plane.middle;
    if (Math.abs(off) <= 0.02 * this.plane.count) return ", middle";
    return off < 0 ? ", left half" : ", right half";
  }

  scroll(steps) { return this.go(this.number + steps); }

  toggleBackground() {
    if (!this.plane) return;
    this.gain = this.gain === "background" ? "tissue" : "background";
    this.go(this.number);
  }

  reset() {
    this.fit();
    if (!this.plane) return;
    this.gain = this.first.window;
    this.go(this.first.number);
  }

  wheeled(event) {
    event.preventDefault();
    if (event.ctrlKey) {
      const box = this.frame.getBoundingClientRect();
      this.zoom(-Math.sign(event.deltaY), event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
      return;
    }
    this.turned = (this.turned ?? 0) + event.deltaY;
    if (Math.abs(this.turned) < WHEEL_STEP) return;
    this.scroll(-Math.sign(this.turned));
    this.turned = 0;
  }

  // Zooms about a point, given in pixels from the middle of the frame.
  zoom(direction, x = 0, y = 0) {
    const factor = Math.min(Math.max(this.factor * ZOOM_STEP ** direction, 1), MOST_ZOOM);
    const share = factor / this.factor;
    [this.factor, this.x, this.y] = [factor, x - (x - this.x) * share, y - (y - this.y) * share];
    this.settle();
  }

  fit() {
    [this.factor, this.x, this.y] = [1, 0, 0];
    this.settle();
  }

  settle() {
    const { clientWidth, clientHeight } = this.frame;
    const most = (side) => (side * (this.factor - 1)) / 2;
    this.x = Math.min(Math.max(this.x, -most(clientWidth)), most(clientWidth));
    this.y = Math.min(Math.max(this.y, -most(clientHeight)), most(clientHeight));
    this.image.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.factor})`;
    this.frame.classList.toggle("zoomed", this.factor > 1);
  }

  drag() {
    let from = null;
    this.frame.addEventListener("pointerdown", (event) => {
      if (this.factor === 1 || event.button !== 0) return;
      from = [event.clientX - this.x, event.clientY - this.y];
      this.frame.setPointerCapture(event.pointerId);
    });
    this.frame.addEventListener("pointermove", (event) => {
      if (!from) return;
      [this.x, this.y] = [event.clientX - from[0], event.clientY - from[1]];
      this.settle();
    });
    for (const kind of ["pointerup", "pointercancel"]) this.frame.addEventListener(kind, () => { from = null; });
  }
}

export class Tiles {
  constructor(root) {
    this.root = root;
    this.addresses = new Map();
    this.tiles = PICTURE.map(() => new Tile((tile) => this.activate(tile)));
    root.append(...this.tiles.map((tile) => tile.element));
    this.activate(this.tiles[0]);
  }

  activate(tile) {
    this.active = tile;
    this.tiles.forEach((each) => each.element.classList.toggle("active", each === tile));
  }

  step(by) {
    const at = this.tiles.indexOf(this.active) + by;
    this.activate(this.tiles[(at + this.tiles.length) % this.tiles.length]);
  }

  enlarge() { this.root.classList.toggle("one"); this.tiles.forEach((tile) => tile.fit()); }

  reset() { this.root.classList.remove("one"); this.tiles.forEach((tile) => tile.reset()); }

  // Forgets the scan before; its pictures must not appear with the new questions.
  clear() {
    for (const address of this.addresses.values()) address.then(URL.revokeObjectURL, () => undefined);
    this.addresses = new Map();
    for (const tile of this.tiles) {
      tile.wanted = null;
      tile.plane = null;
      tile.image.removeAttribute("src");
      tile.fit();
    }
  }

  // Shows the parts of the picture that `voxlate grade` made.
  openPicture(picture) {
    this.tiles.forEach((tile, at) => {
      const canvas = make("canvas", { width: PICTURE_TILE, height: PICTURE_TILE });
      const [x, y] = [(at % 3) * PICTURE_TILE, Math.floor(at / 3) * PICTURE_TILE];
      canvas.getContext("2d").drawImage(picture, -x, -y);
      tile.openPicture(PICTURE[at], canvas.toDataURL());
    });
  }

  open(key, { planes, tiles }) {
    const addresses = this.addresses;
    const load = (...names) => {
      const path = `api/items/${key}/slices/${names.join("/")}`;
      if (!addresses.has(path)) addresses.set(path, fetched(path));
      return addresses.get(path);
    };
    return Promise.all(this.tiles.map((tile, at) => tile.open(tiles[at], planes[tiles[at].plane], load)));
  }
}

async function fetched(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(path);
  return URL.createObjectURL(await response.blob());
}
