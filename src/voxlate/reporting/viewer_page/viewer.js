"use strict";
// A classic script, with the images as base64 in further scripts, because browsers refuse modules and fetch from file://.
// Each image has a viewer of its own; all of them share crosshair, slice and zoom. "One place" shows one of them at a time,
// "side by side" shows all.
(() => {
  const { title, roles, cases } = globalThis.voxlate;
  const greys = ["source", "target", "synthetic"];
  const find = (id) => document.getElementById(id);
  const say = (text) => { find("state").textContent = text; };
  const options = {
    backColor: [0, 0, 0, 1],
    crosshairColor: [0.5, 0.84, 0.9, 0.6],
    crosshairWidth: 0.6,
    isRadiologicalConvention: true,
    sagittalNoseLeft: true,
    dragAndDropEnabled: false,
    dragMode: niivue.DRAG_MODE.none,
    multiplanarShowRender: niivue.SHOW_RENDER.NEVER,
    viewModeHotKey: "",
    clipPlaneHotKey: "",
    logLevel: "error",
    loadingText: "",
  };
  let shown = "synthetic";
  let before = "target";
  let current = 0;
  let zoom = 1;

  const panels = roles.map((role, at) => {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = role;
    const canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("aria-label", `Slices of the ${role} image`);
    canvas.addEventListener("pointerenter", () => canvas.focus({ preventScroll: true })); // the focused viewer leads the others
    figure.append(caption, canvas);
    find("panels").append(figure);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${at + 1} ${role}`;
    button.addEventListener("click", () => show(role));
    find("roles").append(button);
    const viewer = new niivue.Niivue(options);
    viewer.addColormap("voxlate-difference", { R: [152, 22, 0, 206, 255], G: [222, 108, 0, 62, 214], B: [255, 214, 0, 28, 140],
      A: [255, 255, 255, 255, 255], I: [0, 57, 128, 198, 255] });
    return { role, figure, canvas, button, viewer };
  });

  function show(role) {
    if (role !== shown) [before, shown] = [shown, role];
    for (const panel of panels) {
      panel.button.setAttribute("aria-pressed", String(panel.role === shown));
      panel.figure.classList.toggle("shown", panel.role === shown);
    }
    if (cases[current]) say(`${cases[current].name}: ${shown}${scaleOf(shown)}`);
  }

  function scaleOf(role) {
    const { limit, largest_uncertainty: largest } = cases[current];
    if (role === "difference") return `, from −${limit} (blue, too dark) to +${limit} (red, too bright)`;
    return role === "uncertainty" ? `, from 0 (black) to ${largest} (yellow)` : "";
  }

  function setPlanes(value) {
    find("planes").value = value;
    const types = { all: "sliceTypeMultiplanar", axial: "sliceTypeAxial", coronal: "sliceTypeCoronal", sagittal: "sliceTypeSagittal" };
    for (const { viewer } of panels) viewer.setSliceType(viewer[types[value]]);
  }

  function setMode(mode) {
    find("panels").className = mode;
    for (const name of ["one", "side"]) find(name).setAttribute("aria-pressed", String(name === mode));
    setPlanes(mode === "side" ? "axial" : "all");
    for (const { viewer } of panels) viewer.resizeListener();
  }

  // Keeps the point under the crosshair in its place.
  function setZoom(value) {
    zoom = Math.min(Math.max(value, 1), 8);
    for (const { viewer } of panels) {
      const at = viewer.frac2mm(viewer.scene.crosshairPos);
      viewer.scene.pan2Dxyzmm = [0, 1, 2].map((axis) => (1 - zoom) * at[axis]).concat(zoom);
      viewer.drawScene();
    }
  }

  function applyWindow() {
    const [low, high] = ["low", "high"].map((id) => Number(find(id).value));
    if (!(high > low)) return say("The upper end of the window must be above its lower end");
    for (const { role, viewer } of panels) {
      if (!greys.includes(role) || !viewer.volumes.length) continue;
      [viewer.volumes[0].cal_min, viewer.volumes[0].cal_max] = [low, high];
      viewer.updateGLVolume();
    }
    show(shown);
  }

  function script(address) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = address;
      element.onload = () => { element.remove(); resolve(); };
      element.onerror = () => reject(new Error(`${address} is missing`));
      document.head.append(element);
    });
  }

  function scale(role, entry) {
    if (role === "difference") return { colormap: "voxlate-difference", cal_min: -entry.limit, cal_max: entry.limit };
    if (role === "uncertainty") return { colormap: "inferno", cal_min: 0, cal_max: entry.largest_uncertainty };
    return { colormap: "gray", cal_min: entry.window[0], cal_max: entry.window[1] };
  }

  async function open(at) {
    current = at;
    const entry = cases[at];
    find("case").value = String(at);
    say(`Loading ${entry.name}`);
    await script(entry.file);
    const images = globalThis.voxlate.images;
    delete globalThis.voxlate.images;
    for (const { role, viewer, button } of panels) {
      [...viewer.volumes].forEach((volume) => viewer.removeVolume(volume));
      button.disabled = !(role in images);
      if (!(role in images)) continue;
      const volume = await niivue.NVImage.loadFromBase64({ base64: images[role], name: `${role}.nii.gz` });
      if (current !== at) return;
      Object.assign(volume, scale(role, entry));
      viewer.addVolume(volume);
      viewer.scene.crosshairPos = viewer.mm2frac(entry.at_mm);
    }
    [find("low").value, find("high").value] = entry.window.map((end) => end.toFixed(2));
    find("facts").textContent = entry.facts;
    setZoom(1);
    show(shown in images ? shown : "synthetic");
  }

  const tryOpen = (at) => open((at + cases.length) % cases.length).catch((error) => say(`Cannot show this case: ${error.message}`));

  document.title = `${title} · voxlate viewer`;
  cases.forEach((entry, at) => find("case").append(new Option(entry.name, String(at))));
  find("case").addEventListener("change", (event) => tryOpen(Number(event.target.value)));
  find("planes").addEventListener("change", (event) => setPlanes(event.target.value));
  for (const id of ["low", "high"]) find(id).addEventListener("change", applyWindow);
  for (const mode of ["one", "side"]) find(mode).addEventListener("click", () => setMode(mode));
  find("nearer").addEventListener("click", () => setZoom(zoom * 1.5));
  find("farther").addEventListener("click", () => setZoom(zoom / 1.5));
  find("bar").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    const panel = panels[Number(event.key) - 1];
    if (panel && !panel.button.disabled) show(panel.role);
    else if (event.key === " " && event.target.tagName !== "BUTTON") { event.preventDefault(); show(before); }
    else if (event.key === "n") tryOpen(current + 1);
    else if (event.key === "p") tryOpen(current - 1);
    else if (event.key === "s") setMode(find("panels").className === "side" ? "one" : "side");
    else if (event.key === "+") setZoom(zoom * 1.5);
    else if (event.key === "-") setZoom(zoom / 1.5);
  });
  const viewers = panels.map(({ viewer }) => viewer);
  Promise.all(panels.map(({ viewer, canvas }) => viewer.attachToCanvas(canvas)))
    .then(() => viewers.forEach((viewer) => viewer.broadcastTo(viewers.filter((other) => other !== viewer), { "2d": true })))
    .then(() => setMode("one"))
    .then(() => tryOpen(0))
    .catch(() => say("The viewer needs WebGL 2, which this browser does not have"));
})();
