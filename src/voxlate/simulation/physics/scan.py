"""Acquires the images of one session, each with its own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from voxlate.preparation.adc import HIGHEST_ADC, fitted_adc
from voxlate.simulation.anatomy.partial_volume import Frame
from voxlate.simulation.physics.acquisition import WHITE_LEVEL, MrSettings, acquire_mr, draw_mr_settings
from voxlate.simulation.physics.artefacts import (
    crop_field_of_view,
    distort_along_echo,
    shading,
    susceptibility_shift,
    thick_slices,
)
from voxlate.simulation.physics.ct import CtSettings, acquire_ct, draw_ct_settings
from voxlate.simulation.physics.quality import draw_grades
from voxlate.simulation.physics.render import Body, reference_signal, render, render_ct, render_diffusion
from voxlate.simulation.physics.scanners import Scanner
from voxlate.simulation.rng import generator
from voxlate.volume import Volume

B_VALUES_S_MM2 = (0, 500, 1000)
_LOCALISER_MM = 10.0  # thickness of a localiser's slices and of the gaps between them
_CUT_MM = 90.0  # an image that shows half a head lacks this much of the upper end of a grid 192 mm high
_EPI_SHIFT_MM = (1.0, 6.0)  # range of the largest shift of an echo-planar image near air; prior
_CONTRASTS = {"T1w": "T1w", "T1ce": "T1w", "T2w": "T2w", "FLAIR": "FLAIR", "DWI": "b0"}


@dataclass(frozen=True)
class ScanPlan:
    """One session: scanner, image quality and seeds.

    Attributes:
        seed: seed of the data set.
        subject: number of the subject, from 0.
        session: number of the visit, from 0.
        scanner: scanner.
        quality_mix: tier to its probability; see `quality.draw_grades`.
        is_same_acquisition: whether T1ce has the noise, pose and scale of T1w.
        is_aligned: whether all images have the pose of the first.
    """

    seed: int
    subject: int
    session: int
    scanner: Scanner
    quality_mix: Mapping[str, float]
    is_same_acquisition: bool = False
    is_aligned: bool = False

    def stream(self, purpose: str, image: str) -> np.random.Generator:
        """Returns the generator of one image for one purpose; T1ce shares that of T1w if `is_same_acquisition`.

        Args:
            purpose: such as `noise`.
            image: such as `T1w`.
        """
        shared = "T1w" if self.is_same_acquisition and image == "T1ce" else image
        return generator(self.seed, self.subject, f"session-{self.session}", purpose, shared)


def contrast_of(image: str, improper: str = "") -> str:
    """Returns the contrast that an MR image shows: `T1w`, `T2w`, `FLAIR` or `b0`.

    Args:
        image: `T1w`, `T1ce`, `T2w`, `FLAIR` or `DWI`; other names are returned as they are.
        improper: why it is not a proper T1w, see `quality.Grades`.
    """
    return "T2w" if improper == "t2_weighted" else _CONTRASTS.get(image, image)


def slices_of(scanner: Scanner, image: str, improper: str = "") -> tuple[float, float]:
    """Returns the thickness of the slices of an MR image and the gap between them in mm; zeros for a 3-D sequence.

    Args:
        scanner: scanner.
        image: as for `contrast_of`.
        improper: as for `contrast_of`.
    """
    if improper == "localiser":
        return _LOCALISER_MM, _LOCALISER_MM
    return (scanner.slice_mm, scanner.gap_mm) if contrast_of(image, improper) == "T1w" else (0.0, 0.0)


def scan(
    plan: ScanPlan, images: Sequence[str], frame: Frame, body: Body
) -> tuple[dict[str, Volume], dict[str, MrSettings | CtSettings]]:
    """Returns the images of a session and the settings of each; the truth is aligned with the first image.

    Args:
        plan: scanner, quality and seeds.
        images: `T1w`, `T1ce`, `T2w`, `FLAIR`, `DWI` (acquired as b0, b500, b1000 and ADC) or `CT`.
        frame: coordinates of the voxels.
        body: subject.
    """
    volumes: dict[str, Volume] = {}
    settings: dict[str, MrSettings | CtSettings] = {}
    for name in images:
        is_reference = name == images[0] or plan.is_aligned or (plan.is_same_acquisition and name == "T1ce")
        if name == "CT":
            ct_settings = draw_ct_settings(plan.stream("settings", name), is_reference=is_reference)
            settings[name] = ct_settings
            data = acquire_ct(render_ct(body), ct_settings, frame.spacing_mm, plan.stream("noise", name))
            volumes[name] = Volume(data, frame.affine, name, "int16")
            continue
        grades = draw_grades(plan.quality_mix, plan.stream("grades", name))
        if name not in ("T1w", "T1ce"):
            grades = replace(grades, improper="")
        mr_settings = draw_mr_settings(
            grades, plan.scanner.field_tesla, plan.stream("settings", name), is_reference=is_reference
        )
        settings[name] = mr_settings
        acquire_image = _diffusion_series if name == "DWI" else _mr_image
        volumes |= acquire_image(plan, name, mr_settings, frame, body)
    return volumes, settings


def _mr_image(plan: ScanPlan, name: str, settings: MrSettings, frame: Frame, body: Body) -> dict[str, Volume]:
    """Returns one MR image by its name, with thick slices or half a head where scanner or grades ask for them."""
    improper = settings.grades.improper
    contrast = contrast_of(name, improper)
    transmit = shading(frame.shape, settings.transmit, plan.stream("transmit", name))
    clean = render(
        body, plan.scanner, contrast, has_agent=name == "T1ce", transmit=transmit, weighting=settings.weighting
    )
    reference = reference_signal(body, plan.scanner, contrast)
    slice_mm, gap_mm = slices_of(plan.scanner, name, improper)
    if slice_mm:  # the noise is set for the thick slice; averaging over its voxels reduces it by this factor
        settings = replace(settings, noise_percent=settings.noise_percent * float(np.sqrt(slice_mm / frame.spacing_mm)))
    data = acquire_mr(clean, settings, reference, frame.spacing_mm, plan.stream("noise", name))
    volume = Volume(data, frame.affine, name, "int16")
    if slice_mm:
        volume = thick_slices(volume, slice_mm, gap_mm)
        volume = volume.with_data(np.rint(volume.data))
    return {name: crop_field_of_view(volume, 2, 0.0, _CUT_MM) if improper == "cut" else volume}


def _diffusion_series(plan: ScanPlan, name: str, settings: MrSettings, frame: Frame, body: Body) -> dict[str, Volume]:
    """Returns a diffusion series by name: an image for each b-value, and the ADC in 0.001 mm²/s fitted to them."""
    reference = reference_signal(body, plan.scanner, "b0")
    shift_mm = susceptibility_shift(frame.points, float(plan.stream("shift", name).uniform(*_EPI_SHIFT_MM)))
    images = {}
    for b in B_VALUES_S_MM2:
        clean = distort_along_echo(render_diffusion(body, plan.scanner, b), shift_mm, frame.spacing_mm)
        images[f"b{b}"] = acquire_mr(clean, settings, reference, frame.spacing_mm, plan.stream("noise", f"b{b}"))
    adc = fitted_adc(list(images.values()), B_VALUES_S_MM2)
    # Below 5 standard deviations of the noise a fit shows noise; scanners blank it too. Chosen by hand; not tuned.
    shown = images["b0"] > 5 * settings.noise_percent / 100 * WHITE_LEVEL * settings.scale
    volumes = {name: Volume(data, frame.affine, name, "int16") for name, data in images.items()}
    return {**volumes, "ADC": Volume(np.where(shown, np.clip(adc, 0, HIGHEST_ADC), 0), frame.affine, "ADC")}
