"""Agreement over patients of tissue volumes from a synthetic image with those from the real one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.schema.rows import Agreement, AgreementRow, VolumeRow
from voxlate.evaluation.statistics import MINIMUM_PATIENTS, bland_altman, by_patient, concordance, icc, tost
from voxlate.evaluation.statistics.samples import Values
from voxlate.io.documents import finite_values

MARGIN_SHARE = 0.02
"""Margin of the equivalence test, of the mean volume of the targets; between scanners volumes vary by 0.65 to 5 %."""


def volume_agreement(rows: Sequence[VolumeRow]) -> Iterator[AgreementRow]:
    """Yields one `agreement` row per segmenter, method and tissue: Bland–Altman, ICC, concordance and equivalence.

    All are over patients; differences are image − target in cm³. With fewer than three patients, when volumes do not
    vary or when no target has the tissue, the row has a note instead.

    Args:
        rows: of all cases, each with its patient.
    """
    groups: dict[tuple[str, str, str], list[VolumeRow]] = defaultdict(list)
    for row in rows:
        groups[row["segmenter"], row["method"], row["tissue"]].append(row)
    for (segmenter, method, tissue), own in groups.items():
        patients = [row["patient"] for row in own]
        synthetic, real = (
            np.array(list(by_patient(volumes, patients).values()))
            for volumes in ([row["volume_cm3"] for row in own], [row["target_cm3"] for row in own])
        )
        yield {
            "kind": "agreement",
            "segmenter": segmenter,
            "method": method,
            "tissue": tissue,
            "n": synthetic.size,
            **_agreement(synthetic, real, tissue),
        }


def _agreement(volumes: Values, targets: Values, tissue: str) -> Agreement:
    n = volumes.size
    if n < MINIMUM_PATIENTS:
        return {"note": f"agreement is not computed below {MINIMUM_PATIENTS} patients; here n = {n}"}
    if not targets.any():  # the margin, a share of the mean volume, would be 0
        return {"note": f"no target has this tissue ({tissue})"}
    try:
        absolute, consistent = icc(np.column_stack([volumes, targets]))
        lin = concordance(volumes, targets)
    except InputRefused as error:
        return {"note": error.message}
    margin = MARGIN_SHARE * float(targets.mean())
    equal = tost(volumes, targets, margin=margin)
    agreement: Agreement = finite_values(
        {
            "bland_altman": asdict(bland_altman(volumes, targets)),
            "icc_2_1": (absolute.value, absolute.low, absolute.high),
            "icc_3_1": (consistent.value, consistent.low, consistent.high),
            "concordance": lin,
            "equivalence": {"margin_cm3": margin, "p": equal.p, "is_shown": equal.is_shown},
            "note": "",
        }
    )
    return agreement
