"""The model card with what was measured: lesions first, then the brain against honest baselines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxlate.evaluation.lesions.sentences import Sentence, finding_sentences
from voxlate.evaluation.table import PRIMARY_METRICS, PRIMARY_REGION, patients_of
from voxlate.io.atomic import write_text

CARD = "card.md"

UNMEASURED = (
    "**What happens inside lesions was not measured when this bundle was trained.** `voxlate evaluate` with "
    "`--bundle` writes this card again with what it measures, lesions first."
)
"""The first words of a bundle's card; the measured ones take their place."""

_TITLES = {
    "source": "untouched source",
    "histogram_match": "histogram match",
    "constant": "constant",
    "blurred_target": "blurred target",
    "synthetic": "**synthetic**",
}


def findings(content: Mapping[str, Any]) -> list[Sentence]:
    """Returns what happened to enhancement and in lesions, from the content of `evaluation.json`."""
    return finding_sentences(content["summary"], content["lesions"], content["primary"]["protocol"])


def write_measured_card(bundle: Path, output: Path, content: Mapping[str, Any]) -> None:
    """Writes the bundle's card into `output` with the measured block in front; nothing if the bundle has no card.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    path = bundle / CARD
    if not path.is_file():
        return
    heading, _, rest = path.read_text(encoding="utf-8").partition("\n")
    body = rest.replace(f"{UNMEASURED}\n", "", 1).lstrip("\n")
    write_text(output / CARD, f"{heading}\n\n{_measured(content)}\n\n{body}")


def _measured(content: Mapping[str, Any]) -> str:
    kind = {"real": "real ", "simulated": "simulated ", "unknown": ""}[content["data_kind"]]
    patients = len({case["patient"] for case in content["cases"]})
    lines = [f"Measured on {len(content['cases'])} {kind}cases of {patients_of(patients)}:", ""]
    lines += [f"- {'**Worse than the source.** ' if f.is_worse else ''}{f.text}" for f in findings(content)]
    return "\n".join([*lines, "", *_brain_table(content)])


def _brain_table(content: Mapping[str, Any]) -> list[str]:
    protocol = content["primary"]["protocol"]
    place = (protocol, "as_written", PRIMARY_REGION)
    means = {
        (row["method"], row["metric"]): (row["mean"], row["unit"])
        for row in content["summary"]
        if (row["protocol"], row["intensity"], row["region"]) == place
    }
    metrics = [name for name in PRIMARY_METRICS if any(metric == name for _, metric in means)]
    units = {metric: unit for (_, metric), (_, unit) in means.items()}
    heads = [f"{name.upper()}{f', {units[name]}' if units[name] else ''}" for name in metrics]
    rows = [f"| in the mask ({protocol}) | {' | '.join(heads)} |", "|---|" + "---|" * len(metrics)]
    for method in content["methods"]:
        values = [means.get((method, name), (None, ""))[0] for name in metrics]
        cells = ["—" if value is None else f"{value:.3g}" for value in values]
        rows.append(f"| {_TITLES.get(method, method)} | {' | '.join(cells)} |")
    return rows
