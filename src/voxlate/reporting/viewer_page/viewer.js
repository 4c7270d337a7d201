"use strict";
// A classic script, with the images as base64 in further scripts, because browsers refuse modules and fetch from file://.
(() => {
  const roles = ["source", "target", "synthetic"];
  const { title, cases } = globalThis.voxlate;
  const find = (id) => document.getElementById(id);
  const say = (text) => { find("state").textContent = text; };
  const viewer = new niivue.Niivue({
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
  });
  let shown = "synthetic";
  let before = "target";
  let current = 0;

  const buttons = roles.map((role, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${at + 1} ${role}`;
    button.addEventListener("click", () => show(role));
    find("roles").append(button);
    return button;
  });

  function show(role) {
    if (role !== shown) [before, shown] = [shown, role];
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(roles[at] === shown)));
    viewer.volumes.forEach((volume, at) => { volume.opacity = roles[at] === shown ? 1 : 0; });
    if (viewer.volumes.length === roles.length) viewer.updateGLVolume();
    say(`${cases[current].name}: ${shown}`);
  }

  function applyWindow() {
    const [low, high] = ["low", "high"].map((id) => Number(find(id).value));
    if (!(high > low)) return say("The upper end of the window must be above its lower end");
    for (const volume of viewer.volumes) [volume.cal_min, volume.cal_max] = [low, high];
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

  async function open(at) {
    current = at;
    const entry = cases[at];
    find("case").value = String(at);
    say(`Loading ${entry.name}`);
    await script(entry.file);
    const images = globalThis.voxlate.images;
    delete globalThis.voxlate.images;
    const [low, high] = entry.window;
    const volumes = await Promise.all(roles.map((role) => niivue.NVImage.loadFromBase64({
      base64: images[role], name: `${role}.nii.gz`, colormap: "gray", opacity: 0, cal_min: low, cal_max: high,
    })));
    if (current !== at) return;
    [...viewer.volumes].forEach((volume) => viewer.removeVolume(volume));
    volumes.forEach((volume) => viewer.addVolume(volume));
    [find("low").value, find("high").value] = [low, high];
    viewer.scene.crosshairPos = viewer.mm2frac(entry.at_mm);
    find("facts").textContent = entry.facts;
    show(shown);
  }

  const tryOpen = (at) => open((at + cases.length) % cases.length).catch((error) => say(`Cannot show this case: ${error.message}`));

  document.title = `${title} · voxlate viewer`;
  cases.forEach((entry, at) => find("case").append(new Option(entry.name, String(at))));
  find("case").addEventListener("change", (event) => tryOpen(Number(event.target.value)));
  for (const id of ["low", "high"]) find(id).addEventListener("change", applyWindow);
  find("bar").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    const role = roles[Number(event.key) - 1];
    if (role) show(role);
    else if (event.key === " " && event.target.tagName !== "BUTTON") { event.preventDefault(); show(before); }
    else if (event.key === "n") tryOpen(current + 1);
    else if (event.key === "p") tryOpen(current - 1);
  });
  viewer.attachToCanvas(find("canvas"))
    .then(() => viewer.setSliceType(viewer.sliceTypeMultiplanar))
    .then(() => tryOpen(0))
    .catch(() => say("The viewer needs WebGL 2, which this browser does not have"));
})();
