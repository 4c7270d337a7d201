"""From tissues to images: signals are computed per tissue and mixed by the parts of each voxel.

Mixing happens in signal space. A voxel half grey and half white has the mean of both signals, which is not the
signal of a mean T1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from voxlate.simulation.anatomy.partial_volume import PartialVolumeMap
from voxlate.simulation.anatomy.tissues import Relaxation, Tissue
from voxlate.simulation.physics.contrast_agent import Agent, enhanced
from voxlate.simulation.physics.scanners import Scanner, contrast_signal
from voxlate.simulation.physics.sequences import SpinEcho, diffusion
from voxlate.volume import Array

FLIP_NODES = (0.8, 1.0, 1.2)
"""Relative flip angles at which a gradient echo is computed; between them the signal is a parabola."""
TEXTURE = {"T1": 0.015, "T2": 0.02}
"""Relative standard deviation of a relaxation time within one tissue."""
_SMOOTH_TISSUES = {"air", "csf", "vitreous", "blood", "artery"}
_SPIN_ECHO_FLOW = 0.12  # what a spin echo leaves of arterial blood
_TURBO = {"T2w", "FLAIR"}
_STEP = 1e-3


@dataclass(frozen=True)
class Substance:
    """A tissue of one subject, and the concentration of agent that reaches it in mM."""

    tissue: Tissue
    concentration_mm: float = 0.0


@dataclass(frozen=True)
class Body:
    """What is scanned.

    Attributes:
        tissue_map: the parts of every voxel.
        substances: what the tissue_map's tissues are made of, at the field of the scanner.
        agent: which contrast agent.
        textures: `T1` and `T2`, fields of unit variance by which the times vary inside a tissue.
        inflow: signal of arterial blood in a gradient echo over that of blood at rest.
        reference: the tissue whose signal noise and scale refer to.
    """

    tissue_map: PartialVolumeMap
    substances: Mapping[str, Substance]
    agent: Agent
    textures: Mapping[str, Array]
    inflow: float = 1.0
    reference: str = "wm"


def tissue_signal(
    body: Body,
    scanner: Scanner,
    contrast: str,
    name: str,
    *,
    has_agent: bool = False,
    factors: Mapping[str, float] | None = None,
) -> float:
    """Returns the signal of one tissue in `T1w`, `T2w`, `FLAIR` or `b0`.

    Args:
        body: whose tissue.
        scanner: which scanner.
        contrast: which image.
        name: which tissue.
        has_agent: after the injection.
        factors: of `T1`, `T2`, `flip` and `weighting`; 1 when absent.
    """
    substance = body.substances[name]
    tissue = substance.tissue
    factors = factors or {}
    t1, t2 = factors.get("T1", 1.0), factors.get("T2", 1.0)
    relaxation = Relaxation(tissue.t1_ms * t1, tissue.t2_ms * t2, tissue.t2_star_ms * t2, tissue.proton_density)
    if has_agent:
        relaxation = enhanced(relaxation, substance.concentration_mm, body.agent, scanner.field_tesla)
    flip, weighting = factors.get("flip", 1.0), factors.get("weighting", 1.0)
    value = float(contrast_signal(contrast, relaxation, scanner, flip, weighting=weighting))
    if contrast in _TURBO:
        value *= tissue.turbo_kept
    if name == "artery":
        return value * (body.inflow if _is_gradient_echo(contrast, scanner) else _SPIN_ECHO_FLOW)
    return value


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
        body: what is scanned.
        scanner: with which timing.
        contrast: `T1w`, `T2w`, `FLAIR` or `b0`.
        has_agent: after the injection.
        transmit: the flip angle reached over the one asked for, per voxel; acts on gradient echoes.
        weighting: see `contrast_signal`.
    """

    def signals(flip: float) -> Callable[[str], float]:
        factors = {"flip": flip, "weighting": weighting}
        return lambda name: tissue_signal(body, scanner, contrast, name, has_agent=has_agent, factors=factors)

    if transmit is not None and _is_gradient_echo(contrast, scanner):
        nodes = [mixed(body.tissue_map, signals(flip)) for flip in FLIP_NODES]
        image = _parabola(nodes, transmit)
    else:
        image = mixed(body.tissue_map, signals(1.0))
    for time, field in body.textures.items():
        slopes = {
            name: tissue_slope(body, scanner, contrast, name, time, has_agent=has_agent) for name in body.substances
        }
        image += field * mixed(body.tissue_map, slopes.__getitem__)
    return image


def tissue_slope(
    body: Body, scanner: Scanner, contrast: str, name: str, time: str, *, has_agent: bool = False
) -> float:
    """Returns by how much a tissue's signal changes for one standard deviation of its `T1` or `T2` texture."""
    if name in _SMOOTH_TISSUES:
        return 0.0
    low, high = (
        tissue_signal(body, scanner, contrast, name, has_agent=has_agent, factors={time: 1 + step})
        for step in (-_STEP, _STEP)
    )
    return (high - low) / (2 * _STEP) * TEXTURE[time]


def render_diffusion(body: Body, scanner: Scanner, b_value_s_mm2: float) -> Array:
    """Returns a diffusion-weighted image without noise: each tissue decays with its own ADC."""

    def signal(name: str) -> float:
        unweighted = tissue_signal(body, scanner, "b0", name)
        return float(diffusion(unweighted, body.substances[name].tissue.adc_um2_ms, b_value_s_mm2))

    return mixed(body.tissue_map, signal)


def render_ct(body: Body) -> Array:
    """Returns Hounsfield units without blur or noise."""
    return mixed(body.tissue_map, lambda name: body.substances[name].tissue.hounsfield)


def reference_signal(body: Body, scanner: Scanner, contrast: str) -> float:
    """Returns the signal that noise and scale refer to: that of the body's reference tissue without agent."""
    return tissue_signal(body, scanner, contrast, body.reference)


def mixed(tissue_map: PartialVolumeMap, value: Callable[[str], float]) -> Array:
    """Returns the sum over tissues of their part of a voxel times their value."""
    image = np.zeros(tissue_map.free.shape, dtype=np.float32)
    values = {name: np.float32(value(name)) for name in {part.tissue for part in tissue_map.parts}}
    for part in tissue_map.parts:
        if values[part.tissue] != 0:
            image[part.box] += part.fraction * values[part.tissue]
    return image


def _parabola(nodes: list[Array], at: Array) -> Array:
    a, b, c = FLIP_NODES
    first = (at - b) * (at - c) / ((a - b) * (a - c))
    second = (at - a) * (at - c) / ((b - a) * (b - c))
    return np.asarray(first * nodes[0] + second * nodes[1] + (1 - first - second) * nodes[2], dtype=np.float32)


def _is_gradient_echo(contrast: str, scanner: Scanner) -> bool:
    return contrast == "T1w" and not isinstance(scanner.t1w, SpinEcho)
