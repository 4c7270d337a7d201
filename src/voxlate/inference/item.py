"""One scan to translate and all that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxlate.errors import printable
from voxlate.io.nifti import sidecar_path


@dataclass(frozen=True)
class Item:
    """Where a scan is.

    Attributes:
        name: of the case; outputs of many cases are called after it.
        source: the scan, NIfTI or DICOM.
        mask: its brain mask in NIfTI, if there is one.
        more: additional sources by contrast.
        series: number or identifier of the series, where the source holds several.
        output: where the answer goes in a BIDS derivative; otherwise it is called after the case.
        places: the source and additional sources below their BIDS data set, by column.
    """

    name: str
    source: Path
    mask: Path | None = None
    more: Mapping[str, Path] = field(default_factory=dict)
    series: str | None = None
    output: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    def paths(self) -> list[Path | None]:
        """Returns all of them."""
        return [self.source, self.mask, *self.more.values()]

    def without_names(self, message: str) -> str:
        """Returns a message in which its files are called by what they are for, as their names may name a patient."""
        roles = {"the source": self.source, "the mask": self.mask, **self.more}
        for role, path in roles.items():
            if path is not None:
                message = message.replace(printable(path.name), role).replace(
                    printable(sidecar_path(path).name), f"the JSON beside {role}"
                )
        return message

    def with_sources(self, names: tuple[str, ...]) -> Item:
        """Returns the item with those of its additional sources that a model takes."""
        kept = {name: path for name, path in self.more.items() if name in names}
        return replace(self, more=kept)
