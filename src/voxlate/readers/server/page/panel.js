// One canvas with one volume. The canvas and its WebGL context are reused; only the volume is replaced.
const { DRAG_MODE, NVImage, Niivue, SHOW_RENDER } = globalThis.niivue;

export const PLANES = ["three", "axial", "coronal", "sagittal"];
const AXIS = { axial: 2, coronal: 1, sagittal: 0 };
const ZOOM_STEP = 1.25;

export class Panel {
  constructor(element, onMoved) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    this.onMoved = onMoved;
    this.nv = new Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.5, 0.84, 0.9, 0.55],
      crosshairWidth: 0.3,
      fontColor: [0.75, 0.8, 0.85, 1],
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      dragAndDropEnabled: false,
      dragMode: DRAG_MODE.windowing,
      mouseEventConfig: {
        leftButton: { primary: DRAG_MODE.crosshair, withShift: DRAG_MODE.pan, withCtrl: DRAG_MODE.windowing },
        rightButton: DRAG_MODE.windowing,
        centerButton: DRAG_MODE.pan,
      },
      multiplanarShowRender: SHOW_RENDER.NEVER,
      viewModeHotKey: "",
      clipPlaneHotKey: "",
      cycleClipPlaneHotKey: "",
      logLevel: "error",
      loadingText: "",
    });
    for (const kind of ["pointermove", "wheel", "pointerup", "touchmove"]) {
      this.canvas.addEventListener(kind, () => requestAnimationFrame(() => this.volume && this.onMoved(this)), { passive: true });
    }
  }

  async attach() {
    await this.nv.attachToCanvas(this.canvas);
    return this;
  }

  get volume() { return this.nv.volumes[0]; }

  async load(buffer, [low, high]) {
    const image = await NVImage.loadFromFile({
      file: new File([buffer], "image.nii"), name: "image.nii", colormap: "gray", cal_min: low, cal_max: high,
    });
    [image.cal_min, image.cal_max, image.colormapInvert] = [low, high, false];
    [...this.nv.volumes].forEach((volume) => this.nv.removeVolume(volume));
    this.nv.scene.crosshairPos = [0.5, 0.5, 0.5];
    this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    this.nv.addVolume(image);
  }

  // Resolves when the graphics processor has finished drawing; without a graphics processor this takes some 300 ms.
  async finished() {
    const gl = this.nv.gl;
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    const isPending = () => ![gl.ALREADY_SIGNALED, gl.CONDITION_SATISFIED, gl.WAIT_FAILED].includes(gl.clientWaitSync(fence, 0, 0));
    while (isPending()) await new Promise((resolve) => setTimeout(resolve, 8));
    gl.deleteSync(fence);
  }

  reset() {
    this.nv.scene.crosshairPos = [0.5, 0.5, 0.5];
    this.nv.setPan2Dxyzmm([0, 0, 0, 1]);
  }

  show(planes) {
    if (planes === this.planes) return;
    this.planes = planes;
    const kinds = { three: this.nv.sliceTypeMultiplanar, axial: this.nv.sliceTypeAxial, coronal: this.nv.sliceTypeCoronal, sagittal: this.nv.sliceTypeSagittal };
    this.nv.setSliceType(kinds[planes]);
  }

  scroll(planes, steps) {
    const move = [0, 0, 0];
    move[AXIS[planes]] = steps;
    this.nv.moveCrosshairInVox(...move);
  }

  scrollToEnd(planes, isLast) {
    const axis = AXIS[planes];
    const count = this.volume.dimsRAS[axis + 1];
    this.scroll(planes, (isLast ? count - 1 : 0) - this.voxel()[axis]);
  }

  zoom(direction) {
    const [x, y, z, now] = this.nv.scene.pan2Dxyzmm;
    const factor = direction === 0 ? 1 : Math.min(Math.max(now * ZOOM_STEP ** direction, 0.5), 12);
    this.nv.setPan2Dxyzmm(direction === 0 ? [0, 0, 0, 1] : [x, y, z, factor]);
  }

  window() { return [this.volume.cal_min, this.volume.cal_max]; }

  setWindow([low, high], isInverted) {
    const volume = this.volume;
    if (!volume || (volume.cal_min === low && volume.cal_max === high && volume.colormapInvert === isInverted)) return;
    [volume.cal_min, volume.cal_max, volume.colormapInvert] = [low, high, isInverted];
    this.nv.updateGLVolume();
  }

  follow(other) {
    this.nv.scene.crosshairPos = [...other.nv.scene.crosshairPos];
    this.nv.scene.pan2Dxyzmm = [...other.nv.scene.pan2Dxyzmm];
    this.nv.drawScene();
  }

  voxel() { return [...this.nv.frac2vox(this.nv.scene.crosshairPos)].map(Math.round); }

  goTo(voxel) {
    this.nv.scene.crosshairPos = this.nv.vox2frac(voxel);
    this.nv.drawScene();
  }
}
