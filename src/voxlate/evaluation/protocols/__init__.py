"""Protocols: named definitions of mask, data range, window and aggregation, so that scores can be compared.

A new protocol is one file and one entry of `PROTOCOLS`; the contract tests then run on it.
"""

from voxlate.evaluation.protocols.base import (
    AS_WRITTEN,
    LINEAR_FIT,
    SLICE_COUNT,
    SLICE_SD,
    Pair,
    Protocol,
    Score,
    masked,
    require_possible,
    require_skull,
)
from voxlate.evaluation.protocols.bottani import BOTTANI_CODED, BOTTANI_PRINTED
from voxlate.evaluation.protocols.brasyn import BRASYN
from voxlate.evaluation.protocols.chen import CHEN
from voxlate.evaluation.protocols.lee import LEE
from voxlate.evaluation.protocols.li import LI
from voxlate.evaluation.protocols.synthrad import SYNTHRAD_2023, SYNTHRAD_2025
from voxlate.evaluation.protocols.voxlate import VOXLATE

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        VOXLATE,
        BOTTANI_PRINTED,
        BOTTANI_CODED,
        LEE,
        CHEN,
        LI,
        SYNTHRAD_2023,
        SYNTHRAD_2025,
        BRASYN,
    )
}

__all__ = [
    "AS_WRITTEN",
    "LINEAR_FIT",
    "PROTOCOLS",
    "SLICE_COUNT",
    "SLICE_SD",
    "Pair",
    "Protocol",
    "Score",
    "masked",
    "require_possible",
    "require_skull",
]
