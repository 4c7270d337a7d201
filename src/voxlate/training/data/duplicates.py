"""Finds images that are in two splits under different names, where a network would be tested on its training data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from voxlate.cases import Case
from voxlate.errors import InputRefused
from voxlate.io.nifti import read_volume
from voxlate.preparation.content import content_hash, outline_hash


def require_separate_splits(cases: Sequence[Case]) -> None:
    """Refuses cases that share a source or a target between two splits.

    Copies under another name, scale or orientation are found (`voxlate.preparation.content`), resampled copies are not.
    Cases of one split may share images. Missing files are skipped here; reading them later raises its own error.

    Images are first compared by a cheap hash of their outline, and fully only if these agree.

    Raises:
        InputRefused: `IMAGE_IN_TWO_SPLITS`; what reading a file refuses.
    """
    if len({case.split for case in cases}) < 2:
        return
    for role in ("source", "target"):
        groups: dict[str, list[tuple[Case, Path]]] = defaultdict(list)
        for case in cases:
            path = case.source if role == "source" else case.target
            if path.is_file():
                groups[outline_hash(read_volume(path))].append((case, path))
        for group in groups.values():
            if len({case.split for case, _ in group}) > 1:
                _require_different(group, role)


def _require_different(group: Sequence[tuple[Case, Path]], role: str) -> None:
    seen: dict[str, Case] = {}
    for case, path in group:
        other = seen.setdefault(content_hash(read_volume(path)), case)
        if other.split != case.split:
            raise InputRefused(
                "IMAGE_IN_TWO_SPLITS",
                f"the {role} of {case.case} ({case.split}) is the image of {other.case} ({other.split}) under another "
                "name; keep it in one split",
            )
