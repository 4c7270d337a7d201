"""One scan to translate, with its mask and additional sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxlate.errors import printable
from voxlate.io.nifti import sidecar_path

_LEAST_LETTERS = 4  # shorter names, such as mm, of or MR, may be words of a message; chosen by hand


@dataclass(frozen=True)
class Item:
    """The files of a scan.

    Attributes:
        name: name of the case; in a run of many cases the output is named after it.
        source: the scan, NIfTI or DICOM.
        mask: brain mask in NIfTI, or None.
        more: additional sources by contrast.
        series: number or identifier of the DICOM series, where the source holds several.
        output: path of the output below a BIDS derivative; None to name it after the case.
        bids_paths: paths of the source and the additional sources below their BIDS data set, by column.
    """

    name: str
    source: Path
    mask: Path | None = None
    more: Mapping[str, Path] = field(default_factory=dict)
    series: str | None = None
    output: str | None = None
    bids_paths: Mapping[str, str] = field(default_factory=dict)

    def paths(self) -> list[Path]:
        """Returns the paths of the source, the mask and the additional sources that are given."""
        return [path for path in (self.source, self.mask, *self.more.values()) if path is not None]

    def without_names(self, message: str) -> str:
        """Returns a message with the role of each file in place of its name, which may contain a patient's name.

        Only whole names are replaced. One of a few characters or digits, as DICOM folders have, may also be a number or
        a word of the message: it is replaced where it begins the message before a colon or a slash, and at the end of a
        path.
        """
        roles: dict[str, str] = {}
        for role, path in {"the source": self.source, "the mask": self.mask, **self.more}.items():
            if path is not None and path.name:
                roles.setdefault(printable(path.name), role)
                roles.setdefault(printable(sidecar_path(path).name), f"the JSON beside {role}")
        names = sorted(roles, key=len, reverse=True)
        pattern = "|".join(f"(?:{_as_whole(name)})" for name in names)
        return re.sub(pattern, lambda found: roles[found[0]], message) if names else message

    def with_sources(self, names: tuple[str, ...]) -> Item:
        """Returns the item with only the additional sources that a model takes.

        Args:
            names: contrasts that the model takes.
        """
        kept = {name: path for name, path in self.more.items() if name in names}
        return replace(self, more=kept)


def _as_whole(name: str) -> str:
    """Returns the pattern of a file name that is not a part of another word."""
    text = re.escape(name)
    if len(name) < _LEAST_LETTERS or name.isdigit():
        return rf"^{text}(?=[:/])|(?<=/){text}(?![\w.-])"
    return rf"(?<![\w.-]){text}(?![\w-]|\.\w)"
