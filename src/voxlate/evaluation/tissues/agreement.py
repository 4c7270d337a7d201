"""Do volumes from a synthetic image agree with those from the real one, over patients?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics import MINIMUM_PATIENTS, bland_altman, by_patient, concordance, icc, tost

MARGIN_SHARE = 0.02
"""Volumes within ± 2 % of the target's mean are taken for equal; between scanners they vary by 0.65 to 5 %."""


def volume_agreement(records: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields one `agreement` record per segmenter, method and tissue: Bland–Altman, ICC, concordance and equivalence.

    All over patients; differences are image − target in cm³. With fewer than three patients, or volumes that do not
    vary, the record holds a note instead.
    """
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        groups[record["segmenter"], record["method"], record["tissue"]].append(record)
    for (segmenter, method, tissue), own in groups.items():
        head = {"kind": "agreement", "segmenter": segmenter, "method": method, "tissue": tissue}
        patients = [record["patient"] for record in own]
        made, real = (
            np.array(list(by_patient([record[name] for record in own], patients).values()))
            for name in ("volume_cm3", "target_cm3")
        )
        found = _agreement(made, real)
        yield {**head, "n": made.size, **{key: _plain(value) for key, value in found.items()}}


def _agreement(made: np.typing.NDArray[np.float64], real: np.typing.NDArray[np.float64]) -> dict[str, Any]:
    if made.size < MINIMUM_PATIENTS:
        return {"note": f"{made.size} patients; agreement is not computed below {MINIMUM_PATIENTS}"}
    try:
        absolute, consistent = icc(np.column_stack([made, real]))
        lin = concordance(made, real)
    except InputRefused as error:
        return {"note": error.message}
    margin = MARGIN_SHARE * float(real.mean())
    equal = tost(made, real, margin=margin)
    return {
        "bland_altman": asdict(bland_altman(made, real)),
        "icc_2_1": [absolute.value, absolute.low, absolute.high],
        "icc_3_1": [consistent.value, consistent.low, consistent.high],
        "concordance": lin,
        "equivalence": {"margin_cm3": margin, "p": equal.p, "is_shown": equal.is_shown},
        "note": "",
    }


def _plain(value: Any) -> Any:
    """Returns a value as JSON can hold it: lists for tuples, nothing for what is not finite."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
