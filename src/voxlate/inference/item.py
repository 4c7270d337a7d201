"""One scan to translate, with its mask and additional sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxlate.errors import printable
from voxlate.io.nifti import sidecar_path


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
        """Returns a message with the role of each file in place of its name, which may contain a patient's name."""
        roles = {"the source": self.source, "the mask": self.mask, **self.more}
        for role, path in roles.items():
            if path is not None:
                message = message.replace(printable(path.name), role).replace(
                    printable(sidecar_path(path).name), f"the JSON beside {role}"
                )
        return message

    def with_sources(self, names: tuple[str, ...]) -> Item:
        """Returns the item with only the additional sources that a model takes.

        Args:
            names: contrasts that the model takes.
        """
        kept = {name: path for name, path in self.more.items() if name in names}
        return replace(self, more=kept)
