"""Relative units: an image divided by its reference level."""

from __future__ import annotations

from dataclasses import dataclass

from voxlate.volume import Volume


@dataclass(frozen=True)
class Scale:
    """Divides by `level`, a number in the units of the scan."""

    level: float

    def apply(self, volume: Volume) -> Volume:
        """Returns `volume` in relative units."""
        return volume.with_data(volume.data / self.level)

    def invert(self, volume: Volume) -> Volume:
        """Returns `volume` in the units that `level` is given in."""
        return volume.with_data(volume.data * self.level)
