"""Further findings of an evaluation: enhancement, lesions lost or invented, methods that are better, smoothness."""

from __future__ import annotations

from collections.abc import Iterator

from voxlate.evaluation.baselines import MATCHED_DB
from voxlate.evaluation.lesions.sentences import UNLABELLED, Sentence, enhancement_sentences, lesion_sentences
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Evaluated, Evaluation, SummaryRow
from voxlate.io.log import text_above
from voxlate.reporting.case_selection import View, ranked
from voxlate.reporting.sections.verdicts import compare_with
from voxlate.web import labels
from voxlate.web.html import Html, tag

_LOWER_BOUNDS = ("source", "histogram_match", "constant")
"""Methods that a useful synthetic image must beat."""

_FLAGGED_ABOVE = 1.0
"""Out-of-distribution score of the farthest training scan, as `voxlate.bundle.out_of_distribution` defines it."""


def remarks(evaluated: Evaluated, view: View) -> Html | None:
    """Returns what the first screen does not say, as a list of sentences; None without any.

    Args:
        evaluated: an evaluation folder.
        view: protocol, region and intensities of the scores.
    """
    evaluation = evaluated.evaluation
    found = [*enhancement_sentences(evaluation.summary), *lesion_sentences({}, evaluation.lesions, unit="")]
    lines = [_finding_line(finding) for finding in found if finding.text != UNLABELLED]
    oracle = _oracle_line(evaluation)
    lines += [] if oracle is None else [oracle]
    lines += [tag("li", text) for text in _remarks(evaluated, view)]
    return tag("ul", lines, class_="remarks") if lines else None


def _finding_line(finding: Sentence) -> Html:
    mark = tag("b", "Worse than the source. ") if finding.is_worse else None
    return tag("li", mark, finding.text, class_="worse-text" if finding.is_worse else None)


def _oracle_line(evaluation: Evaluation) -> Html | None:
    """Returns the error of the model beside the least possible error; a smaller one means that targets leaked."""
    oracle = evaluation.oracle
    if oracle is None:
        return None
    figures = f"RMSE {oracle.synthetic_rmse_percent:.2f} % of L, the least possible {oracle.oracle_rmse_percent:.2f} %"
    if oracle.is_below:
        warning = "Better than the least possible error: the model has seen these targets. "
        return tag(
            "li", tag("b", warning), f"Over {labels.count(oracle.cases, 'case')}: {figures}.", class_="worse-text"
        )
    ratio = oracle.synthetic_rmse_percent / oracle.oracle_rmse_percent
    return tag("li", f"Compared with the oracle of the simulation: {figures}, {ratio:.1f} times as much.")


def _rows(evaluated: Evaluated, view: View, intensity: str = "as_written") -> dict[tuple[str, str], SummaryRow]:
    key = (view.protocol, view.region, intensity)
    rows = evaluated.evaluation.summary
    return {(row.metric, row.method): row for row in rows if (row.protocol, row.region, row.intensity) == key}


def _remarks(evaluated: Evaluated, view: View) -> Iterator[str]:
    yield from _losses(evaluated, view)
    yield from _linear_fit(evaluated, view)
    yield from _smoothness(evaluated, view)
    yield from _worst(evaluated, view)
    yield from _left_out(evaluated)
    yield from _unusual(evaluated.evaluation)
    missing, refused = len(evaluated.evaluation.missing), len(evaluated.evaluation.refused)
    if missing or refused:
        absent = f"{labels.count(missing, 'missing case')} and {labels.count(refused, 'refused case')}"
        yield f"Not included: {absent}; a table below lists them with their reasons."


def _left_out(evaluated: Evaluated) -> Iterator[str]:
    """Yields the metrics that could not be computed in some cases, with the reason."""
    metrics = dict.fromkeys((entry.protocol, entry.metric) for entry in evaluated.evaluation.left_out)
    for protocol, metric in metrics:
        own = [e for e in evaluated.evaluation.left_out if (e.protocol, e.metric) == (protocol, metric)]
        cases = labels.count(len({entry.case for entry in own}), "case")
        told = f"{metric_of(metric).label} ({protocol}) could not be computed in {cases}: {own[0].reason}."
        unequal = (
            " Its means are over different patients; see n." if _has_unequal_n(evaluated, protocol, metric) else ""
        )
        yield told + unequal


def _has_unequal_n(evaluated: Evaluated, protocol: str, metric: str) -> bool:
    """Returns whether the methods of a column of a table have different numbers of patients."""
    columns: dict[tuple[str, str], set[int]] = {}
    for row in evaluated.evaluation.summary:
        if (row.protocol, row.metric) == (protocol, metric):
            columns.setdefault((row.region, row.intensity), set()).add(row.n)
    return any(len(numbers) > 1 for numbers in columns.values())


def _unusual(evaluation: Evaluation) -> Iterator[str]:
    """Yields the cases whose source the model's check flagged, with their scores."""
    scores = {case.case: case.unusual_score for case in evaluation.cases if case.unusual_score is not None}
    if scores:
        shown = ", ".join(f"{case} ({text_above(score, _FLAGGED_ABOVE)})" for case, score in scores.items())
        yield (
            f"Unlike the scans of the training (INPUT_UNUSUAL): {shown}. In brackets the out-of-distribution score; "
            f"above {_FLAGGED_ABOVE:g} a scan is beyond the farthest training scan."
        )


def _losses(evaluated: Evaluated, view: View) -> Iterator[str]:
    """Yields the metrics in which the mean of the model is worse than that of a simpler method."""
    rows = _rows(evaluated, view)
    metrics = dict.fromkeys(metric for metric, _ in rows)
    for other in _LOWER_BOUNDS:
        lost = []
        for name in metrics:
            ours, theirs = rows.get((name, "synthetic")), rows.get((name, other))
            if ours is not None and theirs is not None and ours.loss > theirs.loss:
                lost.append(metric_of(name).label)
        if lost:
            yield f"On average the model is worse than the {labels.method(other).lower()} in {', '.join(lost)}."


def _linear_fit(evaluated: Evaluated, view: View) -> Iterator[str]:
    """Yields the MAE after the best linear fit of intensities, which leaves errors of structure only."""
    if compare_with(evaluated, View(view.protocol, view.region, "linear_fit"), "mae", "source") is None:
        return
    rows = _rows(evaluated, view, "linear_fit")
    ours, before = rows.get(("mae", "synthetic")), rows.get(("mae", "source"))
    if ours is None or before is None:
        return
    decimals = labels.decimals_for([ours.mean, before.mean])
    ours_text, before_text = (f"{labels.number(row.mean, decimals)} {row.unit}".rstrip() for row in (ours, before))
    yield (
        f"After the best linear fit of each image to the target, the MAE is {ours_text} for the synthetic image and "
        f"{before_text} for the untouched source. The fit removes errors of scale; what remains is errors of structure."
    )


def _smoothness(evaluated: Evaluated, view: View) -> Iterator[str]:
    """Yields the SSIM of a blurred target: SSIM and PSNR reward smoothness, and the blur shows how much."""
    rows = _rows(evaluated, view)
    ours, blurred = rows.get(("ssim", "synthetic")), rows.get(("ssim", "blurred_target"))
    if ours is not None and blurred is not None:
        decimals = labels.decimals_for([ours.mean, blurred.mean])
        yield (
            f"A blurred copy of the target{_blur(rows)} has SSIM {labels.number(blurred.mean, decimals)} (synthetic "
            f"{labels.number(ours.mean, decimals)}). It shows what smoothness alone achieves; it is a reference, not a "
            "competing method."
        )


def _blur(rows: dict[tuple[str, str], SummaryRow]) -> str:
    """Returns the sigma of the blur, and whether the blurred target has the PSNR of the synthetic image."""
    sigma, gap = (rows.get((name, "blurred_target")) for name in ("blur_sigma", "psnr_gap"))
    if sigma is None or sigma.mean is None or gap is None or gap.mean is None:
        return ""
    blur = f" (sigma {labels.number(sigma.mean, 1)} mm"
    if abs(gap.mean) <= MATCHED_DB:
        return f"{blur}, same PSNR as the synthetic image)"
    return f"{blur}, PSNR not matched: it differs by {labels.number(gap.mean, 1)} dB from the synthetic image)"


def _worst(evaluated: Evaluated, view: View) -> Iterator[str]:
    rows = ranked(evaluated, view)
    if len(rows) > 1:
        score = f"{metric_of(view.metric).label} {labels.number(rows[-1].value)} {rows[-1].unit}".rstrip()
        yield f"The worst case is {rows[-1].case} with {score}; its images are shown below."
