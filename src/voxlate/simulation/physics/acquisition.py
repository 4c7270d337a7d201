"""Acquisition of one MR image: pose, coil shading, motion, truncated k-space, noise and an arbitrary scale.

Ranges are priors chosen for this project unless a source is named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.simulation.physics import artefacts, quality
from voxlate.simulation.physics.artefacts import Pose
from voxlate.simulation.physics.quality import Grades
from voxlate.volume import Array, Shape

WHITE_LEVEL = 400.0
"""Value of the reference tissue (white matter in a head) in a stored image at a scale of 1."""


POSE_SHIFT_MM, POSE_TURN_DEG = 0.3, 0.3
"""Standard deviation of position (mm) and rotation (degrees) of a head between the images of a session."""


@dataclass(frozen=True)
class MrSettings:
    """Settings of the acquisition of one MR image; `factors.json` holds them for each image.

    Attributes:
        grades: image quality.
        noise_percent: standard deviation of the noise, per cent of the reference tissue's signal.
        shading: amplitude of the receive coil's shading; see `artefacts.shading`.
        transmit: amplitude of the transmit field's error; see `artefacts.shading`.
        weighting: weighting of the contrast, 1 as planned; see `scanners.contrast_signal`.
        pose: pose of the head in this image relative to the truth.
        bend_mm: root mean square of the non-rigid displacement.
        motion: poses of the head during segments of k-space.
        kept: fraction of k-space that is acquired along each axis.
        scale: factor on the stored values.
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
    """Returns random settings of an MR image with the given grades.

    Args:
        grades: image quality.
        field_tesla: field strength in tesla; shading and transmit error are larger at 3 T.
        rng: generator of all draws.
        is_reference: whether the truth is aligned with this image, which then has neither pose nor displacement.
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


def acquire_mr(
    image: Array, settings: MrSettings, reference: float, spacing_mm: float, rng: np.random.Generator
) -> Array:
    """Returns the magnitude image that the scanner stores: whole numbers, float32 of the image's shape.

    Args:
        image: (i, j, k), signal without noise.
        settings: settings of the acquisition.
        reference: signal of the reference tissue, which sets noise and scale.
        spacing_mm: isotropic voxel size.
        rng: generator of noise and fields.
    """
    shape_rng, motion_rng, noise_rng = rng.spawn(3)
    shape: Shape = image.shape[0], image.shape[1], image.shape[2]
    if settings.pose != Pose() or settings.bend_mm:
        bend = artefacts.random_displacement(shape, settings.bend_mm, shape_rng) if settings.bend_mm else None
        image = np.maximum(artefacts.apply_pose(image, settings.pose, spacing_mm, bend), 0)
    image = image * artefacts.shading(shape, settings.shading, shape_rng)
    image = artefacts.add_motion(image, list(settings.motion), spacing_mm, motion_rng)
    image = artefacts.truncate_kspace(image, settings.kept)
    image = artefacts.add_rician_noise(image, settings.noise_percent / 100 * reference, noise_rng)
    return np.asarray(np.rint(image * np.float32(WHITE_LEVEL * settings.scale / reference)), dtype=np.float32)
