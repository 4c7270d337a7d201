"""Model card with measured results: lesions first, then the brain beside the baselines."""

from __future__ import annotations

from pathlib import Path

from voxlate.evaluation.lesions.sentences import Sentence, finding_sentences
from voxlate.evaluation.metrics import METRICS
from voxlate.evaluation.protocols import AS_WRITTEN
from voxlate.evaluation.schema.results import Evaluation
from voxlate.evaluation.schema.table import PRIMARY_METRICS, PRIMARY_REGION, patients_of
from voxlate.evaluation.training_cases import CARD
from voxlate.io.atomic import write_text

_UNMEASURED = (
    "**What happens inside lesions was not measured when this bundle was trained.** `voxlate evaluate` with "
    "`{}` writes this card again with what it measures, lesions first."
)
UNMEASURED = _UNMEASURED.format("-m MODEL")
"""First paragraph of the card of a new bundle; an evaluation replaces it with measured results.

The text must not change, because it is searched for in the cards of existing bundles. Older bundles have
`_EARLIER`."""

_EARLIER = _UNMEASURED.format("--bundle")

_TITLES = {
    "source": "untouched source",
    "histogram_match": "histogram match",
    "constant": "constant",
    "blurred_target": "blurred target",
    "synthetic": "**synthetic**",
}


def findings(evaluation: Evaluation) -> list[Sentence]:
    """Returns the sentences on enhancement and lesions of an evaluation."""
    protocol = _primary_protocol(evaluation)
    return finding_sentences(evaluation.summary, evaluation.lesions, protocol)


def write_measured_card(bundle: Path, output: Path, evaluation: Evaluation) -> None:
    """Writes the bundle's card into `output` with the measured results first; nothing if the bundle has no card.

    Args:
        bundle: folder of the bundle, with `card.md`.
        output: folder of the evaluation.
        evaluation: results of this bundle.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    path = bundle / CARD
    if not path.is_file():
        return
    heading, _, rest = path.read_text(encoding="utf-8").partition("\n")
    for text in (UNMEASURED, _EARLIER):
        rest = rest.replace(f"{text}\n", "", 1)
    body = rest.lstrip("\n")
    write_text(output / CARD, f"{heading}\n\n{_measured(evaluation)}\n\n{body}")


def _primary_protocol(evaluation: Evaluation) -> str:
    return evaluation.protocols[0].name if evaluation.primary is None else evaluation.primary.protocol


def _measured(evaluation: Evaluation) -> str:
    cases = f"{len(evaluation.cases)} {evaluation.kind_shown}cases"
    lines = [f"Measured on {cases} of {patients_of(evaluation.n_patients)}:", ""]
    lines += [f"- {'**Worse than the source.** ' if f.is_worse else ''}{f.text}" for f in findings(evaluation)]
    return "\n".join([*lines, "", *_brain_table(evaluation)])


def _brain_table(evaluation: Evaluation) -> list[str]:
    protocol = _primary_protocol(evaluation)
    key = (protocol, AS_WRITTEN, PRIMARY_REGION)
    rows = [row for row in evaluation.summary if (row.protocol, row.intensity, row.region) == key]
    means = {(row.method, row.metric): row.mean for row in rows}
    units = {row.metric: row.unit for row in rows}
    metrics = [name for name in PRIMARY_METRICS if name in units]
    heads = [f"{METRICS[name].label}{f', {units[name]}' if units[name] else ''}" for name in metrics]
    lines = [f"| in the mask ({protocol}) | {' | '.join(heads)} |", "|---|" + "---|" * len(metrics)]
    for method in evaluation.methods:
        values = [means.get((method, name)) for name in metrics]
        cells = ["—" if value is None else f"{value:.3g}" for value in values]
        lines.append(f"| {_TITLES.get(method, method)} | {' | '.join(cells)} |")
    return lines
