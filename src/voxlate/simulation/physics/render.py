"""Renders images without noise or artefact: the signal of each tissue, weighted by its fraction of each voxel.

Signals are mixed, not relaxation times: a voxel with half grey and half white matter has the mean of both signals,
which differs from the signal at the mean T1. Images are float32 of the shape of the partial-volume map, without unit
except for CT (HU).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from voxlate.simulation.anatomy.partial_volume import PartialVolumeMap
from voxlate.simulation.anatomy.tissues import Floats, Relaxation, Tissue
from voxlate.simulation.physics.contrast_agent import Agent, enhanced
from voxlate.simulation.physics.scanners import Scanner, contrast_signal
from voxlate.simulation.physics.sequences import SpinEcho, diffusion
from voxlate.simulation.random_fields import smooth_field
from voxlate.volume import Array, Shape

FLIP_NODES = (0.8, 1.0, 1.2)
"""Relative flip angles at which a gradient echo is computed; between them the signal is interpolated by a parabola."""
TEXTURE = {"T1": 0.015, "T2": 0.02}
"""Relative standard deviation of a relaxation time within one tissue. Prior, chosen for this project."""
TEXTURE_WAVELENGTH_MM = 9.0
"""Shortest wavelength of a texture. Prior, chosen for this project."""
_SMOOTH_TISSUES = {"air", "csf", "vitreous", "blood", "artery"}  # air and fluids, which have no texture
_SPIN_ECHO_FLOW = 0.12  # fraction of the signal of arterial blood that remains in a spin echo; prior
_TURBO = {"T2w", "FLAIR"}
_STEP = 1e-3  # relative step of the finite differences: small against a texture, large against rounding
_SLAB = 8  # planes that are mixed at a time, so that the sum stays in the cache of the processor


@dataclass(frozen=True)
class Substance:
    """A tissue of one subject and the concentration of contrast agent in it, in mM, after the injection."""

    tissue: Tissue
    concentration_mm: float = 0.0


@dataclass(frozen=True)
class Chemistry:
    """The substances of a subject: all that the signal of a tissue depends on.

    Attributes:
        substances: the tissues by name, at the field of the scanner.
        agent: contrast agent.
        inflow: signal of arterial blood in a gradient echo over that of blood at rest.
        reference: tissue whose signal sets noise and scale.
    """

    substances: Mapping[str, Substance]
    agent: Agent
    _: KW_ONLY
    inflow: float = 1.0
    reference: str = "wm"


@dataclass(frozen=True)
class Body(Chemistry):
    """Everything about a subject that an image depends on.

    Attributes:
        tissue_map: fractions of the tissues in every voxel.
        textures: `T1` and `T2` to a float32 field of the volume's shape with mean 0 and variance 1, by which the
            relaxation time varies within a tissue.
    """

    _: KW_ONLY
    tissue_map: PartialVolumeMap
    textures: Mapping[str, Array]


def draw_textures(shape: Shape, spacing_mm: float, rng: np.random.Generator) -> dict[str, Array]:
    """Returns the textures of a body: `T1` and `T2` to a float32 field of `shape` with mean 0 and variance 1.

    Args:
        shape: voxels along each axis.
        spacing_mm: isotropic voxel size.
        rng: generator of the fields.
    """
    return {time: smooth_field(shape, spacing_mm, TEXTURE_WAVELENGTH_MM, rng) for time in TEXTURE}


def tissue_signals(
    body: Chemistry,
    scanner: Scanner,
    contrast: str,
    names: Sequence[str],
    *,
    has_agent: bool = False,
    factors: Mapping[str, float] | None = None,
) -> Floats:
    """Returns the signals of several tissues, (len(names),).

    Args:
        body: subject.
        scanner: scanner, which sets timing and field.
        contrast: `T1w`, `T2w`, `FLAIR` or `b0`.
        names: tissues.
        has_agent: whether the image is taken after the injection.
        factors: factors on `T1`, `T2`, `flip` (angle) and `weighting`; 1 when absent.
    """
    tissues = [body.substances[name].tissue for name in names]
    factors = factors or {}
    t1, t2 = factors.get("T1", 1.0), factors.get("T2", 1.0)
    relaxation = Relaxation(
        np.array([tissue.t1_ms * t1 for tissue in tissues]),
        np.array([tissue.t2_ms * t2 for tissue in tissues]),
        np.array([tissue.t2_star_ms * t2 for tissue in tissues]),
        np.array([tissue.proton_density for tissue in tissues]),
    )
    if has_agent:
        concentrations = np.array([body.substances[name].concentration_mm for name in names])
        relaxation = enhanced(relaxation, concentrations, body.agent, scanner.field_tesla)
    flip, weighting = factors.get("flip", 1.0), factors.get("weighting", 1.0)
    values = contrast_signal(contrast, relaxation, scanner, flip, weighting=weighting)
    if contrast in _TURBO:
        values = values * np.array([tissue.turbo_kept for tissue in tissues])
    flow = body.inflow if _is_gradient_echo(contrast, scanner) else _SPIN_ECHO_FLOW
    return np.asarray(values * np.array([flow if name == "artery" else 1.0 for name in names]))


def tissue_signal(
    body: Chemistry,
    scanner: Scanner,
    contrast: str,
    name: str,
    *,
    has_agent: bool = False,
    factors: Mapping[str, float] | None = None,
) -> float:
    """Returns the signal of one tissue; the arguments are those of `tissue_signals`."""
    return float(tissue_signals(body, scanner, contrast, [name], has_agent=has_agent, factors=factors)[0])


def render(
    body: Body,
    scanner: Scanner,
    contrast: str,
    *,
    has_agent: bool = False,
    transmit: Array | None = None,
    weighting: float = 1.0,
) -> Array:
    """Returns an image without noise or artefact.

    Args:
        body: subject.
        scanner: scanner, which sets timing and field.
        contrast: `T1w`, `T2w`, `FLAIR` or `b0`.
        has_agent: whether the image is taken after the injection.
        transmit: actual over nominal flip angle, of the volume's shape; acts on T1w gradient echoes.
        weighting: see `contrast_signal`.
    """
    names = list(body.substances)

    def clean(flip: float) -> Array:
        factors = {"flip": flip, "weighting": weighting}
        values = tissue_signals(body, scanner, contrast, names, has_agent=has_agent, factors=factors)
        return mixed(body.tissue_map, dict(zip(names, values, strict=True)).__getitem__)

    if transmit is not None and _is_gradient_echo(contrast, scanner):
        image = _parabola([clean(flip) for flip in FLIP_NODES], transmit)
    else:
        image = clean(1.0)
    for time, field in body.textures.items():
        slopes = tissue_slopes(body, scanner, contrast, names, time, has_agent=has_agent)
        image += field * mixed(body.tissue_map, dict(zip(names, slopes, strict=True)).__getitem__)
    return image


def tissue_slopes(
    body: Chemistry, scanner: Scanner, contrast: str, names: Sequence[str], time: str, *, has_agent: bool = False
) -> Floats:
    """Returns the change of each tissue's signal for one standard deviation of its texture, (len(names),).

    Args:
        body: subject.
        scanner: scanner, which sets timing and field.
        contrast: `T1w`, `T2w`, `FLAIR` or `b0`.
        names: tissues; air and fluids have no texture, and a slope of zero.
        time: `T1` or `T2`.
        has_agent: whether the image is taken after the injection.
    """
    low, high = (
        tissue_signals(body, scanner, contrast, names, has_agent=has_agent, factors={time: 1 + step})
        for step in (-_STEP, _STEP)
    )
    has_texture = np.array([name not in _SMOOTH_TISSUES for name in names])
    return np.where(has_texture, (high - low) / (2 * _STEP) * TEXTURE[time], 0.0)


def render_diffusion(body: Body, scanner: Scanner, b_value_s_mm2: float) -> Array:
    """Returns a diffusion-weighted image without noise; the signal of each tissue decays with its own ADC.

    Args:
        body: subject.
        scanner: scanner, which sets timing and field.
        b_value_s_mm2: diffusion weighting, zero or more.
    """

    def signal(name: str) -> float:
        unweighted = tissue_signal(body, scanner, "b0", name)
        return float(diffusion(unweighted, body.substances[name].tissue.adc_um2_ms, b_value_s_mm2))

    return mixed(body.tissue_map, signal)


def render_ct(body: Body) -> Array:
    """Returns a CT in HU without blur or noise."""
    return mixed(body.tissue_map, lambda name: body.substances[name].tissue.hounsfield)


def reference_signal(body: Chemistry, scanner: Scanner, contrast: str) -> float:
    """Returns the signal of the reference tissue without contrast agent, which sets noise and scale.

    Args:
        body: subject.
        scanner: scanner, which sets timing and field.
        contrast: `T1w`, `T2w`, `FLAIR` or `b0`.
    """
    return tissue_signal(body, scanner, contrast, body.reference)


def mixed(tissue_map: PartialVolumeMap, value: Callable[[str], float]) -> Array:
    """Returns the sum over tissues of their fraction of each voxel times their value, float32 of the map's shape.

    Args:
        tissue_map: fractions of the tissues in every voxel.
        value: function that returns the value of a tissue.
    """
    image = np.zeros(tissue_map.free.shape, dtype=np.float32)
    values = {name: np.float32(value(name)) for name in {part.tissue for part in tissue_map.parts}}
    parts = [part for part in tissue_map.parts if values[part.tissue] != 0]
    for start in range(0, len(image), _SLAB):
        for part in parts:
            i, j, k = part.box
            low, high = max(start, i.start), min(start + _SLAB, i.stop)
            if low < high:
                image[low:high, j, k] += part.fraction[low - i.start : high - i.start] * values[part.tissue]
    return image


def _parabola(nodes: list[Array], at: Array) -> Array:
    """Returns the parabola through three images at `FLIP_NODES`, evaluated at `at`, all of one shape."""
    a, b, c = FLIP_NODES
    first = (at - b) * (at - c) / ((a - b) * (a - c))
    second = (at - a) * (at - c) / ((b - a) * (b - c))
    return np.asarray(first * nodes[0] + second * nodes[1] + (1 - first - second) * nodes[2], dtype=np.float32)


def _is_gradient_echo(contrast: str, scanner: Scanner) -> bool:
    return contrast == "T1w" and not isinstance(scanner.t1w, SpinEcho)
