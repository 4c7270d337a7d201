"""The class of each patient: from a table, or from the truth of a simulated data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxlate.errors import InputRefused, NoInput
from voxlate.io.documents import read_json
from voxlate.io.tables import read_rows

_YES, _NO = {"1", "true", "yes"}, {"0", "false", "no"}


def read_classes(path: Path, *, positive: str | None = None) -> dict[str, bool]:
    """Reads the class of each patient.

    Args:
        path: tab-separated with the columns `patient` and `label`; labels are 1 or 0, true or false, yes or no, or any
            names when `positive` is given. Rows with `n/a` are left out.
        positive: label of the positive class.

    Raises:
        NoInput: `NO_INPUT`.
        InputRefused: `CLASSES` for another label, a missing column or a patient with two labels.
    """
    found: dict[str, bool] = {}
    rows = read_rows(path, code="CLASSES", needed=("patient", "label"), synonyms={"participant_id": "patient"})
    for line, row in enumerate(rows, start=2):
        label = row["label"].strip()
        if label.lower() in {"", "n/a"}:
            continue
        if positive is None and label.lower() not in _YES | _NO:
            raise InputRefused(
                "CLASSES", f"{path.name}: line {line}: {label!r} is not 0 or 1; state which label is positive"
            )
        value = label == positive if positive is not None else label.lower() in _YES
        if found.setdefault(row["patient"], value) != value:
            raise InputRefused("CLASSES", f"{path.name}: line {line} gives a patient another label than before")
    if not found:
        raise NoInput("NO_INPUT", f"{path.name} has no label")
    return found


def simulated_atrophy(folder: Path) -> dict[str, bool]:
    """Returns which patients of a simulated data set have atrophy: sulci wider than the median over the patients.

    Args:
        folder: as `voxlate simulate` writes it; the truth of each patient's first session is read.

    Raises:
        NoInput: `NO_INPUT` without the truth of heads.
        InputRefused: `FACTORS` when a file has another format.
    """
    widths: dict[str, float] = {}
    for path in sorted(folder.rglob("*_factors.json")):
        patient = path.name.partition("_")[0]
        try:
            widths.setdefault(patient, float(read_json(path)["head"]["brain"]["sulcus_mm"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InputRefused("FACTORS", f"{path.name} states no width of the sulci; simulate heads again") from error
    if not widths:
        raise NoInput("NO_INPUT", f"{folder.name} holds no simulated heads; name the folder of voxlate simulate")
    median = float(np.median(list(widths.values())))
    return {patient: width > median for patient, width in widths.items()}
