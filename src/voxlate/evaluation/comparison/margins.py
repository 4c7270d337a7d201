"""The margin of a test: by metric, in the unit of one protocol.

Protocols measure one metric in different units (MAE in % of L by voxlate, in 0 to 1 by chen2022, in grey levels by
lee2020), so a margin of a metric says nothing about most of the other protocols. `METRIC` names the margin of the first
protocol that measures the metric, `METRIC@PROTOCOL` that of one protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voxlate.errors import UsageError, nearest
from voxlate.evaluation.comparison.settings import AT
from voxlate.evaluation.comparison.tables import ScoreTables
from voxlate.evaluation.enhancement import PROTOCOL as ENHANCEMENT
from voxlate.evaluation.schema.table import MetricKey
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.tissues import SEGMENTERS

_OF_THE_PROTOCOL = ("", "%")
"""Units whose size depends on the protocol: the share of one range is not the share of another."""


class Margins:
    """Finds the margin of a metric of a protocol."""

    def __init__(self, stated: Mapping[str, float], tables: ScoreTables, protocols: Sequence[str]) -> None:
        """Finds the first protocol of each metric that has a margin.

        Args:
            stated: margins by `METRIC` or `METRIC@PROTOCOL`.
            tables: scores by set.
            protocols: names in the order of the run; others come after them.
        """
        self._stated = stated
        place = {name: index for index, name in enumerate(protocols)}
        self._homes: dict[str, tuple[str, str]] = {}
        measured = [(key, table.unit(key)) for table in tables.values() for key in table.measured()]
        for key, unit in sorted(measured, key=lambda pair: place.get(pair[0].protocol, len(place))):
            self._homes.setdefault(key.metric, (key.protocol, unit))

    def of(self, key: MetricKey, unit: str) -> float | None:
        """Returns the margin in the unit of the scores; None where none was stated for this protocol.

        Args:
            key: what is measured.
            unit: of its scores.
        """
        own = self._stated.get(f"{key.metric}{AT}{key.protocol}")
        margin = self._stated.get(key.metric)
        if own is not None or margin is None:
            return own
        home, home_unit = self._homes[key.metric]
        is_same_unit = unit == home_unit and unit not in _OF_THE_PROTOCOL
        return margin if key.protocol == home or is_same_unit else None


def require_protocols(margins: Mapping[str, float], settings: Settings) -> None:
    """Refuses a margin of a protocol that the run does not have.

    Raises:
        UsageError: `MARGIN`.
    """
    segmenters = (*SEGMENTERS, *settings.more_segmenters) if settings.is_segmented else ()
    known = (*settings.protocols, ENHANCEMENT, *segmenters)
    for name in margins:
        metric, at, protocol = name.partition(AT)
        if at and protocol not in known:
            raise UsageError(
                "MARGIN",
                f"the margin of {metric} is for {protocol!r}, which this run has not{nearest(protocol, known)}; "
                f"choose from {', '.join(known)}",
            )
