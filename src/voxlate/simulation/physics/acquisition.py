"""One image's way through the scanner: pose, coil shading, motion, the end of k-space, noise, an arbitrary scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.simulation.physics import artefacts, quality
from voxlate.simulation.physics.artefacts import Pose
from voxlate.simulation.physics.quality import Grades
from voxlate.volume import Array, Shape

WHITE_LEVEL = 400.0
"""Number that white matter gets in a T1-weighted image at a scale of 1."""


POSE_SHIFT_MM, POSE_TURN_DEG = 0.3, 0.3
"""Standard deviations of how a head lies in one image of a session against another; what is left after a scanner's own
alignment of its planes."""


@dataclass(frozen=True)
class MrSettings:
    """How one image was acquired; the truth of a case holds one per image.

    Attributes:
        noise_percent: deviation of the noise, per cent of the reference tissue.
        shading: amplitude of the receive coil's shading.
        transmit: amplitude of the transmit field's error.
        weighting: of the contrast, 1 as planned; see `scanners.contrast_signal`.
        pose: of the head in this image against the truth.
        bend_mm: root mean square of the non-rigid displacement.
        motion: poses during segments of k-space.
        kept: part of k-space along each axis.
        scale: what white matter's number is multiplied by.
    """

    grades: Grades
    noise_percent: float
    shading: float
    transmit: float
    weighting: float
    pose: Pose
    bend_mm: float
    motion: tuple[Pose, ...]
    kept: tuple[float, float, float]
    scale: float


def draw_mr_settings(grades: Grades, field_tesla: float, rng: np.random.Generator, *, is_reference: bool) -> MrSettings:
    """Returns how an image of these grades is acquired.

    Args:
        grades: wanted.
        field_tesla: shading and transmit error are larger at 3 T.
        rng: source.
        is_reference: whether the truth lies where this image lies.
    """
    strong = field_tesla > 2
    count = int(rng.integers(quality.MOTION_SEGMENTS[grades.motion][0], quality.MOTION_SEGMENTS[grades.motion][1] + 1))
    shift, turn = quality.MOTION_SHIFT_MM[grades.motion], quality.MOTION_TURN_DEG[grades.motion]
    pose, kept = Pose.drawn(rng, POSE_SHIFT_MM, POSE_TURN_DEG), float(rng.uniform(0.92, 1.0))
    return MrSettings(
        grades=grades,
        noise_percent=float(rng.uniform(*quality.NOISE_PERCENT[grades.noise])),
        shading=float(rng.uniform(0.2, 0.4) if strong else rng.uniform(0.1, 0.25)),
        transmit=float(rng.uniform(0.1, 0.2) if strong else rng.uniform(0.02, 0.08)),
        weighting=float(rng.uniform(*quality.WEIGHTING[grades.contrast])),
        pose=Pose() if is_reference else pose,
        bend_mm=0.0 if is_reference else 0.25,
        motion=tuple(Pose.drawn(rng, shift, turn) for _ in range(count)),
        kept=(1.0, kept, kept),
        scale=float(rng.uniform(0.5, 2.0)),
    )


def transmit_field(settings: MrSettings, shape: Shape, rng: np.random.Generator) -> Array:
    """Returns the flip angle reached over the one asked for."""
    return artefacts.shading(shape, settings.transmit, rng)


def acquire_mr(
    image: Array, settings: MrSettings, reference: float, spacing_mm: float, rng: np.random.Generator
) -> Array:
    """Returns the magnitude image that the scanner stores.

    Args:
        image: without noise, in signal units.
        settings: how.
        reference: signal of the reference tissue, to which noise and scale refer.
        spacing_mm: isotropic voxel size.
        rng: source of noise and fields.
    """
    shape_rng, motion_rng, noise_rng = rng.spawn(3)
    shape: Shape = image.shape[0], image.shape[1], image.shape[2]
    if settings.pose != Pose() or settings.bend_mm:
        bend = artefacts.bend(shape, settings.bend_mm, shape_rng) if settings.bend_mm else None
        image = np.maximum(artefacts.moved(image, settings.pose, spacing_mm, bend), 0)
    image = image * artefacts.shading(shape, settings.shading, shape_rng)
    image = artefacts.motion(image, list(settings.motion), spacing_mm, motion_rng)
    image = artefacts.truncated(image, settings.kept)
    image = artefacts.rician(image, settings.noise_percent / 100 * reference, noise_rng)
    return np.asarray(np.rint(image * np.float32(WHITE_LEVEL * settings.scale / reference)), dtype=np.float32)
