"""The cases that a bundle was trained or chosen on, those of the models that it began with included."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxlate.cases import Case, read_cases
from voxlate.io.documents import InvalidDocument, parse_yaml, read_object, read_text

CARD = "card.md"
"""In a bundle: the model card."""

STARTS = "start.json"
"""In a bundle, and in the folder of a run: the models that its training began with, the nearest first."""

PROVENANCE = "provenance.json"
"""In a model that comes with the package: its training subjects, and the models that it began with."""

_RECIPE, _MANIFEST, _WEIGHTS = "recipe.yaml", "manifest.json", "weights.safetensors"

_TRAINED_ON = re.compile(r"^\| trained on \| (\d+) cases \(([^)]*)\): ([^;|]*)", re.MULTILINE)
"""The line of a model card that counts and names the training cases."""

_SIMULATED = "simulated"


@dataclass(frozen=True)
class Start:
    """A model whose weights another training began with.

    Attributes:
        model: its name.
        weights_sha256: hash of its weights.
        cases: that it was trained or chosen on.
        patients: of these cases, as far as they are known.
        is_simulated: whether they are simulated; such cases have the same names in each data set.
    """

    model: str
    weights_sha256: str
    cases: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    is_simulated: bool = False

    @property
    def told(self) -> str:
        """Returns name and hash for a card or a text."""
        return f"{self.model} ({self.weights_sha256[:12]})"


def training_cases(bundle: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the names of the cases and of the patients that a bundle was trained on, as far as it states them.

    The run of a training has a table `cases.tsv` beside the bundle; a bundle alone names its cases in its card, unless
    they are simulated: simulated patients have the same names in each data set.

    Args:
        bundle: folder of the bundle.
    """
    rows = _rows_of_run(bundle)
    if rows is not None:
        return frozenset(case.case for case in rows), frozenset(case.patient for case in rows)
    _, kind, names = _of_card(bundle)
    subjects = frozenset(_real_subjects(bundle))
    return subjects | frozenset(names if kind != _SIMULATED else ()), subjects


def count_training_cases(bundle: Path) -> int:
    """Returns the number of training cases that the card of a bundle states; 0 where it states none."""
    return _of_card(bundle)[0]


def starts_of(bundle: Path) -> list[Start]:
    """Returns the models that the training of a bundle began with, the nearest first; empty for new weights.

    Args:
        bundle: folder of the bundle.
    """
    found = [_start(each) for each in _records(read_object(bundle / STARTS).get("starts"))]
    for stage in _records(read_object(bundle / PROVENANCE).get("stages")):
        for record in _records([stage.get("starts_from")]):
            start = _start(record)
            found += [] if start in found else [start]
    return found


def began_with(bundle: Path) -> list[dict[str, Any]]:
    """Returns what `start.json` of a bundle that begins with the weights of `bundle` holds: it, and its own starts.

    Simulated cases are named where the bundle lies in its run, among data of the user. Elsewhere, as in the models that
    come with the package, they are those of another data set, and their names say nothing.

    Args:
        bundle: folder of the bundle that a training begins with.
    """
    recipe = _recipe(bundle)
    rows = _rows_of_run(bundle)
    _, kind, names = _of_card(bundle)
    if rows is None:
        patients = _real_subjects(bundle)
        cases = [*(names if kind != _SIMULATED else ()), *patients]
    else:
        cases, patients = [case.case for case in rows], [case.patient for case in rows]
        kind = str(recipe.get("data_kind", kind))
        if rows and all(case.data_kind == _SIMULATED for case in rows):
            kind = _SIMULATED
    own = Start(
        str(recipe.get("name", bundle.name)),
        weights_sha256_of(bundle),
        tuple(dict.fromkeys(cases)),
        tuple(dict.fromkeys(patients)),
        kind == _SIMULATED,
    )
    return [asdict(each) for each in (own, *starts_of(bundle))]


def seen_cases(bundle: Path, cases: Iterable[Case]) -> list[str]:
    """Returns the names of the cases whose patients a bundle, or a model that it began with, was trained or chosen on.

    Args:
        bundle: folder of the bundle.
        cases: that it is tested on. Names of simulated cases of an earlier model count for simulated cases alone.
    """
    names, patients = training_cases(bundle)
    starts = starts_of(bundle)

    def is_seen(case: Case) -> bool:
        return (
            case.case in names
            or case.patient in patients
            or any(
                (case.case in start.cases or case.patient in start.patients)
                and (case.data_kind == _SIMULATED or not start.is_simulated)
                for start in starts
            )
        )

    return [case.case for case in cases if is_seen(case)]


def weights_sha256_of(bundle: Path) -> str:
    """Returns the hash of the weights of a bundle, as its manifest states it; empty without a manifest."""
    files = read_object(bundle / _MANIFEST).get("files")
    return str(files.get(_WEIGHTS, "")) if isinstance(files, dict) else ""


def _rows_of_run(bundle: Path) -> list[Case] | None:
    """Returns the rows of training and validation of the run that a bundle lies in; None outside its run."""
    run = bundle.resolve().parent
    table = run / "cases.tsv"
    if not (table.is_file() and (run / _RECIPE).is_file()):
        return None
    return [case for case in read_cases(table, paired=False) if case.split != "test"]


def _of_card(bundle: Path) -> tuple[int, str, list[str]]:
    """Returns number, kind and names of the training cases in the card of a bundle."""
    card = bundle / CARD
    found = _TRAINED_ON.search(card.read_text(encoding="utf-8")) if card.is_file() else None
    if found is None:
        return 0, "", []
    return int(found[1]), found[2], [name for name in found[3].strip().split(", ") if name]


def _real_subjects(bundle: Path) -> list[str]:
    """Returns the real subjects in the provenance of a model that comes with the package."""
    data = read_object(bundle / PROVENANCE).get("data")
    groups = data.values() if isinstance(data, dict) else ()
    records = [each for group in groups for each in _records(group)]
    return [str(each["subject"]) for each in records if each.get("kind") != _SIMULATED and "subject" in each]


def _records(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _start(record: dict[str, Any]) -> Start:
    cases, patients = (tuple(map(str, record.get(key) or ())) for key in ("cases", "patients"))
    kind = bool(record.get("is_simulated"))
    return Start(str(record.get("model", "")), str(record.get("weights_sha256", "")), cases, patients, kind)


def _recipe(bundle: Path) -> dict[str, Any]:
    try:
        content = parse_yaml(read_text(bundle / _RECIPE))
    except (InvalidDocument, OSError):
        return {}
    return content if isinstance(content, dict) else {}
