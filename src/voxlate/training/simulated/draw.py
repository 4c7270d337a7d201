"""Draws windows of simulated images from a tissue map, each with a new patient, sequence, deformation and noise.

Signals are those of `voxlate.simulation.physics.render`, noise and shading those of
`voxlate.simulation.physics.acquisition`. Windows have no motion, no truncated k-space, and no displacement between the
images of a session.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.tissues import Tissue
from voxlate.simulation.physics import artefacts, ct
from voxlate.simulation.physics.acquisition import MrSettings, draw_mr_settings
from voxlate.simulation.physics.contrast_agent import AGENTS, plasma_concentration_mm
from voxlate.simulation.physics.quality import draw_grades
from voxlate.simulation.physics.render import (
    TEXTURE,
    TEXTURE_WAVELENGTH_MM,
    Chemistry,
    Substance,
    reference_signal,
    tissue_signals,
    tissue_slopes,
)
from voxlate.simulation.physics.scanners import TRAINING_SCANNERS, Scanner, scanner_named
from voxlate.simulation.random_fields import smooth_field
from voxlate.simulation.tissue_map import DEPTH_STEP_MM, KEPT, REACH_MM, WHOLE, TissueMap, depth_mm
from voxlate.training.simulated.warp import Warp, in_box, random_warp
from voxlate.volume import Array, Mask, Shape

CONTRASTS = {"T1w": "T1w", "T1ce": "T1w", "T2w": "T2w", "FLAIR": "FLAIR", "b0": "b0"}
"""MR images that a window may have, and their contrast; the other image is `CT`."""

DOSE_MMOL_KG, DELAY_MIN, INFLOW = (0.08, 0.2), (4.0, 10.0), (1.0, 1.3)
"""Ranges of dose, minutes from injection to image, and inflow of arterial blood. A single dose is 0.1 mmol/kg, a double
one 0.2; the agent is drawn too, and their mean relaxivity is a fifth below gadobutrol's, so that the mean enhancement
is that of 0.1 mmol/kg of gadobutrol. Delay and inflow are those of a simulated patient."""
UPTAKE_SPREAD = 0.28
"""Standard deviation of the logarithm of a factor on the uptake of every lesion, that between lesions of one kind."""
MASK_MM = (-1.0, 3.0)
"""Range of the depth at which the brain is cut: skull-stripping tools differ by some millimetres. Prior."""
FLUID = "csf"
"""Up to all of it lies outside a brain mask: in nine real heads the tenth of the voxels that is darkest was fluid in
some masks, and grey matter in others."""
_POOL_STEP = 64  # the side of a texture is a multiple of it, so that few are computed
_COARSE = 16  # points along each axis at which the shading of a head is computed; it has 5 control points
CT_OFFSET_HU, CT_NOISE_HU = 8.0, (3.0, 12.0)
"""Largest offset of a CT, and range of its noise. Scanners and reconstructions differ by several HU; 3 to 5 HU are the
noise of thick slices, and thin ones are two to three times as noisy. The one real head at hand had 7 HU."""
CT_CONTRAST = (0.4, 1.1)
"""Range of a factor on the difference of grey and white matter, 12 HU in the simulator. Beam energy, beam hardening and
blur make it smaller; on the real head at hand it was some 5 HU."""
_CT_BRAIN = ("gm", "wm", "cord")  # tissues whose CT numbers are moved towards their mean


@dataclass(frozen=True)
class WindowPlan:
    """What is drawn.

    Attributes:
        images: names, keys of `CONTRASTS` or `CT`.
        window: voxels along each axis.
        is_same_acquisition: whether T1ce and T1w have the same sequence, noise and shading, so that they differ by the
            agent alone.
        other_scanner: probability that the last image is of another scanner than the others, which may have another
            field strength and sequence; the patient, lesions and dose are the same.
        quality_mix: tier to its probability; see `quality.draw_grades`.
        enhancing_share: share of windows centred on a voxel that enhances; half of them on a lesion, where there is
            one.
        is_sample_acquired: whether `DrawnWindow.sample` has texture and noise, and the voxels within the mask alone, as
            the quantiles of a scan have.

    Raises:
        UsageError: `CONTRAST_UNKNOWN`.
    """

    images: tuple[str, ...]
    window: Shape
    is_same_acquisition: bool = True
    other_scanner: float = 0.0
    quality_mix: Mapping[str, float] = field(default_factory=lambda: {"good": 1.0})
    enhancing_share: float = 0.0
    is_sample_acquired: bool = False

    def __post_init__(self) -> None:
        for name in self.images:
            if name not in CONTRASTS and name != "CT":
                raise UsageError(
                    "CONTRAST_UNKNOWN", f"unknown contrast {name!r}; choose from {', '.join(CONTRASTS)}, CT"
                )


@dataclass(frozen=True)
class DrawnWindow:
    """A window.

    Attributes:
        images: name to (i, j, k), float32, in the units of the scan.
        inside: (i, j, k), the brain.
        lesions: (i, j, k), voxels of a lesion.
        sample: name to (m,), values of each image in random voxels of the brain, which give its scale; without noise,
            unless the plan asks for it.
    """

    images: dict[str, Array]
    inside: Mask
    lesions: Mask
    sample: dict[str, Array]


@dataclass(frozen=True)
class _Image:
    """One image before it is acquired.

    Attributes:
        settings: of an MR image; None for a CT.
        reference: signal that sets noise and scale; 1 for a CT.
        columns: (tissues, 3), signal of each tissue and its change with the textures of T1 and T2.
        stream: seed of shading and noise.
    """

    settings: MrSettings | None
    reference: float
    columns: NDArray[np.float64]
    stream: int


def draw_window(
    head: TissueMap, plan: WindowPlan, rng: np.random.Generator, centre: NDArray[np.int64] | None = None
) -> DrawnWindow:
    """Returns a window of a head; the same generator gives the same window.

    Args:
        head: tissues of the head.
        plan: what is drawn.
        rng: generator of all draws.
        centre: voxel at the centre of the window, (3,); None to draw it.
    """
    images = _images(head, plan, rng)
    centre = random_centre(head, plan, rng) if centre is None else centre
    warp = random_warp(centre, plan.window, head.spacing_mm, rng)
    box = warp.box
    index, share, depth = (_cut(part, box) for part in (head.index, head.share, head.depth))
    table = np.concatenate([image.columns for image in images.values()], axis=1)
    mixed = _mixed(table, index.reshape(-1, KEPT), share.reshape(-1, KEPT)).reshape(*depth.shape, len(images), 3)
    textures = [_texture(depth.shape, head.spacing_mm, rng) for _ in TEXTURE]
    planes = [_textured(mixed[..., number, :], textures) for number in range(len(images))]
    planes += [torch.from_numpy(part.astype(np.float32)) for part in (depth, _cut(head.lesions, box) > 0)]
    moved = F.grid_sample(torch.stack(planes)[None], warp.normalised(), align_corners=True)[0].numpy()
    cut_mm = float(rng.uniform(*MASK_MM))
    drawn = _mixed(table, *head.sampled).reshape(len(head.sample), len(images), 3).numpy()
    scan = _Scan(warp, head)
    sample = {name: _in_units(drawn[:, number, 0], image) for number, (name, image) in enumerate(images.items())}
    if plan.is_sample_acquired:
        within = depth_mm(head.depth.reshape(-1)[head.sample]) > cut_mm
        sample = _acquired_sample(drawn, images, within & _in_mask(head, rng), rng)
    return DrawnWindow(
        {name: scan.acquired(moved[number], image) for number, (name, image) in enumerate(images.items())},
        moved[-2] * np.float32(DEPTH_STEP_MM) - np.float32(REACH_MM) > cut_mm,
        moved[-1] > 0.5,
        sample,
    )


def _in_mask(head: TissueMap, rng: np.random.Generator) -> Mask:
    """Returns which voxels of the sample of a head lie in a random brain mask, (m,): masks differ in their fluid."""
    index, share = head.sampled
    is_fluid = index == head.names.index(FLUID) if FLUID in head.names else np.zeros(index.shape, dtype=bool)
    fluid = (share * is_fluid).sum(axis=1) / WHOLE
    return np.asarray(rng.random(len(fluid)) >= fluid * rng.random())


def _acquired_sample(
    drawn: Array, images: Mapping[str, _Image], inside: Mask, rng: np.random.Generator
) -> dict[str, Array]:
    """Returns the values of each image in a sample of voxels with texture and noise, in its units, (n,) each.

    Args:
        drawn: (m, images, 3), signal of each voxel, and its change with each texture.
        images: what is known of each image.
        inside: (m,), voxels within the brain mask; with none of them all count.
        rng: of textures and noise.
    """
    textures = rng.standard_normal((len(TEXTURE), len(drawn)), dtype=np.float32)
    sample = {}
    for number, (name, image) in enumerate(images.items()):
        values = _in_units(drawn[:, number, 0] + (drawn[:, number, 1:] * textures.T).sum(axis=1), image)
        if image.settings is not None:
            sigma = np.float32(image.settings.noise_percent / 100)
            real, imaginary = sigma * rng.standard_normal((2, len(drawn)), dtype=np.float32)
            values = np.hypot(values + real, imaginary)
        sample[name] = values[inside] if inside.any() else values
    return sample


def _chemistry(head: TissueMap, scanner: Scanner, rng: np.random.Generator) -> Chemistry:
    """Returns the substances of a new patient with the anatomy and the lesions of a head."""
    at_field = scanner.tissues()
    tissues = {name: at_field[name].jittered(rng) for name in sorted(at_field)}
    tissues |= {name: _leaky(tissue, rng) for name, tissue in head.lesion_tissues[scanner.field_tesla].items()}
    agent = AGENTS[str(rng.choice(list(AGENTS)))]
    plasma = float(plasma_concentration_mm(float(rng.uniform(*DELAY_MIN)), float(rng.uniform(*DOSE_MMOL_KG))))
    substances = {name: Substance(tissue, tissue.uptake * plasma) for name, tissue in tissues.items()}
    return Chemistry(substances, agent, inflow=float(rng.uniform(*INFLOW)))


def _leaky(tissue: Tissue, rng: np.random.Generator) -> Tissue:
    return replace(tissue, uptake=tissue.uptake * float(np.exp(UPTAKE_SPREAD * rng.standard_normal())))


@dataclass(frozen=True)
class _Session:
    """A scanner, and the substances of the patient at its field strength."""

    scanner: Scanner
    chemistry: Chemistry


def _sessions(head: TissueMap, plan: WindowPlan, rng: np.random.Generator) -> tuple[_Session, _Session]:
    """Returns the session of all images but the last, and that of the last, which mostly is the same."""
    scanner = scanner_named(str(rng.choice(TRAINING_SCANNERS)))
    patient = copy.deepcopy(rng) if plan.other_scanner else rng
    first = _Session(scanner, _chemistry(head, scanner, rng))
    if not plan.other_scanner or rng.random() >= plan.other_scanner:
        return first, first
    other = scanner_named(str(rng.choice(TRAINING_SCANNERS)))
    return first, _Session(other, _chemistry(head, other, patient))  # the same draws give the same patient


def _images(head: TissueMap, plan: WindowPlan, rng: np.random.Generator) -> dict[str, _Image]:
    """Returns the images of a session by name."""
    drawn: dict[str, _Image] = {}
    usual, last = _sessions(head, plan, rng)
    for name in plan.images:
        session = last if name == plan.images[-1] else usual
        scanner, chemistry = session.scanner, session.chemistry
        settings, stream = _settings(plan, scanner, rng), int(rng.integers(2**63))
        if name == "CT":
            drawn[name] = _Image(None, 1.0, _ct_columns(head, chemistry, stream), stream)
            continue
        twin = {"T1ce": "T1w", "T1w": "T1ce"}.get(name, "")
        if plan.is_same_acquisition and twin in drawn and last is usual:
            settings, stream = drawn[twin].settings or settings, drawn[twin].stream
        columns = _columns(head, name, scanner, chemistry, settings, stream)
        drawn[name] = _Image(settings, reference_signal(chemistry, scanner, CONTRASTS[name]), columns, stream)
    return drawn


def _ct_columns(head: TissueMap, chemistry: Chemistry, stream: int) -> NDArray[np.float64]:
    """Returns the CT numbers of the tissues in HU and two columns of zeros, (tissues, 3): a CT shows no texture."""
    numbers = {name: substance.tissue.hounsfield for name, substance in chemistry.substances.items()}
    middle = (numbers["gm"] + numbers["wm"]) / 2
    factor = float(np.random.default_rng([stream, 0]).uniform(*CT_CONTRAST))
    numbers |= {name: middle + factor * (numbers[name] - middle) for name in _CT_BRAIN}
    columns = np.zeros((len(head.names), 3))
    columns[:, 0] = [numbers[name] for name in head.names]
    return columns


def _settings(plan: WindowPlan, scanner: Scanner, rng: np.random.Generator) -> MrSettings:
    grades = replace(draw_grades(plan.quality_mix, rng), improper="")
    return draw_mr_settings(grades, scanner.field_tesla, rng, is_reference=True)


def _columns(
    head: TissueMap, name: str, scanner: Scanner, chemistry: Chemistry, settings: MrSettings, stream: int
) -> NDArray[np.float64]:
    """Returns the signals of an MR image and their changes with the textures, (tissues, 3)."""
    contrast, has_agent = CONTRASTS[name], name == "T1ce"
    # The transmit field varies slowly: in a window it is one factor on the flip angle.
    error = settings.transmit / 2 * np.random.default_rng([stream, 0]).uniform(-1, 1)
    factors = {"flip": float(np.exp(error)), "weighting": settings.weighting}
    signals = tissue_signals(chemistry, scanner, contrast, head.names, has_agent=has_agent, factors=factors)
    slopes = [tissue_slopes(chemistry, scanner, contrast, head.names, time, has_agent=has_agent) for time in TEXTURE]
    return np.stack([signals, *slopes], axis=1)


def random_centre(head: TissueMap, plan: WindowPlan, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns the voxel at the centre of a window, (3,); see `WindowPlan.enhancing_share`."""
    chosen = head.sample
    if rng.random() < plan.enhancing_share and len(head.enhancing):
        chosen = head.enhancing
        if rng.random() < 0.5:
            chosen = head.enhancing_lesions if len(head.enhancing_lesions) else chosen
    return np.array(np.unravel_index(int(rng.choice(chosen)), head.shape))


def _cut(array: NDArray[np.uint8], box: Sequence[slice]) -> NDArray[np.uint8]:
    """Returns a box of a volume; what lies beyond the volume repeats its border, which is outside the brain."""
    shape = array.shape[:3]
    within = tuple(slice(max(axis.start, 0), min(axis.stop, size)) for axis, size in zip(box, shape, strict=True))
    pads = [(part.start - axis.start, axis.stop - part.stop) for part, axis in zip(within, box, strict=True)]
    cut = array[within]
    return (
        np.ascontiguousarray(cut) if not any(map(any, pads)) else np.pad(cut, [*pads, (0, 0)][: cut.ndim], mode="edge")
    )


def _mixed(table: NDArray[np.float64], index: NDArray[np.uint8], share: NDArray[np.uint8]) -> Tensor:
    """Returns the sum over the tissues of a voxel of share times value, (n, columns), float32.

    Args:
        table: (tissues, columns), values of the tissues.
        index: (n, KEPT), numbers of the tissues.
        share: (n, KEPT), their shares of `WHOLE`.
    """
    return F.embedding_bag(
        torch.from_numpy(index.astype(np.int32)),
        torch.from_numpy((table / WHOLE).astype(np.float32)),
        per_sample_weights=torch.from_numpy(share.astype(np.float32)),
        mode="sum",
    )


def _textured(mixed: Tensor, textures: Sequence[Array]) -> Tensor:
    """Returns signal plus textures; `mixed` is (i, j, k, 3): the signal, and its change with each texture."""
    image = mixed[..., 0].clone()
    for number, texture in enumerate(textures, start=1):
        image += mixed[..., number] * torch.from_numpy(texture)
    return image


def _texture(shape: tuple[int, ...], spacing_mm: float, rng: np.random.Generator) -> Array:
    """Returns a random part of a texture that is computed once."""
    pool = _pool(-(-2 * max(shape) // _POOL_STEP) * _POOL_STEP, spacing_mm)
    i, j, k = (int(rng.integers(pool.shape[0] - size + 1)) for size in shape)
    return np.ascontiguousarray(pool[i : i + shape[0], j : j + shape[1], k : k + shape[2]])


@lru_cache(maxsize=2)
def _pool(side: int, spacing_mm: float) -> Array:
    return smooth_field((side, side, side), spacing_mm, TEXTURE_WAVELENGTH_MM, np.random.default_rng(side))


class _Scan:
    """Acquires the images of a window; images of one acquisition share shading and noise.

    Args:
        warp: where the window lies.
        head: the head.
    """

    def __init__(self, warp: Warp, head: TissueMap) -> None:
        self.warp, self.head = warp, head
        self.drawn: dict[int, tuple[Array, Array, Array]] = {}

    def acquired(self, image: Array, drawn: _Image) -> Array:
        """Returns an image with shading and noise, in the units of the scan."""
        settings = drawn.settings
        if settings is None:
            return _acquired_ct(image, self.head.spacing_mm, np.random.default_rng([drawn.stream, 1]))
        if drawn.stream not in self.drawn:
            self.drawn[drawn.stream] = self._fields(settings, image.shape, drawn.stream)
        shading, real, imaginary = self.drawn[drawn.stream]
        # Rician noise, as `artefacts.add_rician_noise`, in relative units.
        seen = image * (shading / np.float32(drawn.reference))
        seen += real
        return np.asarray(np.hypot(seen, imaginary), dtype=np.float32)

    def _fields(self, settings: MrSettings, shape: tuple[int, ...], stream: int) -> tuple[Array, Array, Array]:
        """Returns shading, real and imaginary noise, of the window's shape; the noise in units of the reference."""
        rng = np.random.default_rng([stream, 1])
        coarse = torch.from_numpy(artefacts.shading((_COARSE,) * 3, settings.shading, rng))[None, None]
        whole = [slice(0, size) for size in self.head.shape]
        at = in_box(self.warp.nodes, whole).permute(0, 2, 3, 4, 1)
        nodes = F.grid_sample(coarse, at, padding_mode="border", align_corners=True)
        sigma = np.float32(settings.noise_percent / 100)
        real, imaginary = (sigma * rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
        return self.warp.upsampled(nodes)[0, 0].numpy(), real, imaginary


def _acquired_ct(image: Array, spacing_mm: float, rng: np.random.Generator) -> Array:
    """Returns a CT with blur, noise and an offset, in HU."""
    settings = ct.draw_ct_settings(rng, is_reference=True)
    blurred = ndimage.gaussian_filter(image, ct.sigma_voxels(settings, spacing_mm), output=np.float32)
    shape: Shape = image.shape[0], image.shape[1], image.shape[2]
    offset = np.float32(rng.uniform(-CT_OFFSET_HU, CT_OFFSET_HU))
    noise = ct.blue_noise(shape, float(rng.uniform(*CT_NOISE_HU)), rng)
    return np.asarray(blurred + noise + offset, dtype=np.float32)


def _in_units(values: Array, drawn: _Image) -> Array:
    """Returns signals in units of the reference tissue's, or HU as they are; float32."""
    return np.asarray(values / np.float32(drawn.reference), dtype=np.float32)
