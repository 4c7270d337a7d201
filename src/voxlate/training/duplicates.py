"""One image must not be in two splits, under whatever names: a network would be tested on what it was trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from voxlate.cases import Case
from voxlate.errors import InputRefused
from voxlate.io.nifti import read_volume
from voxlate.preparation.content import content_hash, outline_hash


def require_separate_splits(cases: Sequence[Case]) -> None:
    """Refuses cases of which a source or a target is the same image in two splits.

    A copy under another name, scale or orientation is found (`preparation.content`); an image that was resampled is
    not. Cases of one split may share images. Files that are not there are left to whoever needs them.

    Raises:
        InputRefused: `IMAGE_IN_TWO_SPLITS`; what reading refuses.
    """
    if len({case.split for case in cases}) < 2:
        return
    for role in ("source", "target"):
        alike: dict[str, list[tuple[Case, Path]]] = defaultdict(list)
        for case in cases:
            path = case.source if role == "source" else case.target
            if path.is_file():
                alike[outline_hash(read_volume(path))].append((case, path))
        for group in alike.values():
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
