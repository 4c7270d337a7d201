"""Brings further sources, such as T2w and ADC beside T1w, to the grid of the source.

Each has its own grid and its own registration, as the target has. One that fails is missing, with the reason: networks
with several sources accept missing ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from voxlate.errors import InputRefused, NoInput
from voxlate.preparation.align_scan import align_scan, aligned_already, require_kind, require_scan
from voxlate.preparation.masks.brain_mask import locate_brain, plausible_report
from voxlate.preparation.masks.ct_mask import AIR_OUTSIDE_HU, looks_like_ct
from voxlate.preparation.masks.skull_stripped import Recognition
from voxlate.preparation.registration.registration import Degrees, Registration
from voxlate.preparation.steps.denoise import denoised
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Mask, Volume


@dataclass(frozen=True)
class RegisteredSource:
    """A further source on the grid of the source.

    Attributes:
        volume: resampled to the grid of the source; values are not normalised.
        registration: transform, RAS+ millimetres of the source to those of the further source, and its score.
    """

    volume: Volume = field(repr=False)
    registration: Registration


@dataclass(frozen=True)
class MissingSource:
    """A further source that could not be read or registered.

    Attributes:
        code: of the error.
        message: of the error.
    """

    code: str
    message: str

    @property
    def text(self) -> str:
        """Returns code and message in one line."""
        return f"{self.code} {self.message}"


FurtherSource = RegisteredSource | MissingSource


def or_missing(make: Callable[[], Volume]) -> Volume | MissingSource:
    """Returns what `make` returns, or a missing source for an error of the input."""
    try:
        return make()
    except (InputRefused, NoInput) as error:
        return MissingSource(error.code, error.message)


@dataclass(frozen=True)
class FurtherSettings:
    """How further sources are registered.

    Attributes:
        method: of their brain masks; see `preparation.masks.brain_mask.BRAIN_MASKS`.
        is_aligned: they are already aligned and on the grid of the source.
        targets: contrasts that are targets of other networks; they are registered and denoised as the target is.
        degrees: of freedom of the registration of these; the others are registered rigidly.
        is_denoised: remove noise from these.
    """

    method: str
    is_aligned: bool = False
    targets: tuple[str, ...] = ()
    degrees: Degrees = 6
    is_denoised: bool = False


def register_further(
    source: Volume,
    brain: Mask,
    more: Mapping[str, Volume | MissingSource],
    settings: FurtherSettings,
    *,
    seen: Recognition | None = None,
) -> dict[str, FurtherSource]:
    """Registers every further source to the source and resamples it linearly.

    Args:
        source: the scan to translate, (i, j, k).
        brain: its brain mask, (i, j, k).
        more: further sources by contrast, each on its own grid; missing ones stay missing.
        settings: see `FurtherSettings`.
        seen: what was recognised in the source. A further source that is aligned with a skull-stripped source already
            is not registered; without it all are.

    Raises:
        MissingLibrary: `MISSING_LIBRARY`.
    """
    return {
        contrast: given
        if isinstance(given, MissingSource)
        else _registered((source, brain, seen), given, contrast, settings)
        for contrast, given in more.items()
    }


def _registered(
    fixed: tuple[Volume, Mask, Recognition | None], other: Volume, contrast: str, settings: FurtherSettings
) -> FurtherSource:
    source, brain, seen = fixed
    is_target = contrast in settings.targets
    try:
        require_scan(contrast, other)
        require_kind(contrast, other, settings.method)
        own = locate_brain(other, settings.method)
        plausible_report(own, other)
        degrees = settings.degrees if is_target else 6
        found = aligned_already(source, other, (seen, own.seen)) or align_scan(
            source, other, (brain, own.mask), name=contrast, degrees=degrees, is_aligned=settings.is_aligned
        )
    except InputRefused as error:
        return MissingSource(error.code, error.message)
    air = AIR_OUTSIDE_HU if looks_like_ct(other) else 0.0
    shown = denoised(other) if is_target and settings.is_denoised else other
    return RegisteredSource(resample(shown, source.grid, found.transform, outside=air), found)


def require_all(more: Mapping[str, FurtherSource]) -> None:
    """Refuses a case that lacks a further source.

    Raises:
        InputRefused: `SOURCE_MISSING`, with the reason for each.
    """
    missing = [f"{contrast}: {each.text}" for contrast, each in more.items() if isinstance(each, MissingSource)]
    if missing:
        raise InputRefused(
            "SOURCE_MISSING", f"{'; '.join(missing)}; mend it, or prepare the case without --refuse-missing"
        )


def doubts_of(more: Mapping[str, FurtherSource]) -> list[str]:
    """Returns the reasons to check the further sources: missing ones, and doubtful registrations."""
    reasons = []
    for contrast, each in more.items():
        if isinstance(each, MissingSource):
            reasons.append(f"{contrast} is missing: {each.text}")
        else:
            reasons += [f"{contrast}: {reason}" for reason in each.registration.score.reasons]
    return reasons
