"""The first thing a reader sees: what was translated, how well, against what, and where it lost."""

from __future__ import annotations

from collections.abc import Iterator

from voxlate.evaluation.baselines import MATCHED_DB
from voxlate.evaluation.lesions.sentences import Sentence, finding_sentences
from voxlate.evaluation.results import Evaluated, Evaluation, SummaryRow
from voxlate.reporting import labels
from voxlate.reporting.case_selection import View, ranked
from voxlate.reporting.sections.verdicts import Gain, gain, sentence
from voxlate.web.html import Html, tag

_BASELINES = ("source", "histogram_match")
_FLOORS = (*_BASELINES, "constant")
"""Methods that an image worth having beats; no test is run against the constant."""
_CARDS = {
    "mae": "average error of a voxel, in % of the range of the target",
    "psnr": "the same kind of error on a logarithmic scale; large errors weigh more",
    "ssim": "likeness of local structure; 1 is identical",
}


def summary(evaluated: Evaluated, view: View) -> Html:
    """Returns the summary in plain words, with the leading figures as cards."""
    evaluation = evaluated.evaluation
    findings = finding_sentences(evaluation.summary, evaluation.lesions, view.protocol)
    verdicts = [sentence(g) for other in _BASELINES if (g := gain(evaluated, view, "mae", other)) is not None]
    remarks = [tag("li", text) for text in _remarks(evaluated, view)]
    return tag(
        "div",
        tag("p", _what(evaluated), class_="lead"),
        tag("ul", [_finding_line(finding) for finding in findings], _oracle_line(evaluation), class_="findings"),
        tag("div", list(_cards(evaluated, view)), class_="cards"),
        tag("ul", verdicts, class_="verdicts"),
        tag("ul", remarks, class_="remarks"),
    )


def _finding_line(finding: Sentence) -> Html:
    mark = tag("b", "Worse than the source. ") if finding.is_worse else None
    return tag("li", mark, finding.text, class_="worse" if finding.is_worse else None)


def _oracle_line(evaluation: Evaluation) -> Html | None:
    """Says how far the model is from the least error there is to make, and when it is below it, which cannot be."""
    oracle = evaluation.oracle
    if oracle is None:
        return None
    figures = f"RMSE {oracle.synthetic_rmse_percent:.2f} % of L, the least possible {oracle.oracle_rmse_percent:.2f} %"
    if oracle.is_below:
        warning = "Better than anything can be: the model has seen these targets. "
        return tag("li", tag("b", warning), f"Over {labels.count(oracle.cases, 'case')}: {figures}.", class_="worse")
    ratio = oracle.synthetic_rmse_percent / oracle.oracle_rmse_percent
    return tag("li", f"Against the oracle of the simulation: {figures}, {ratio:.1f} times.")


def _what(evaluated: Evaluated) -> str:
    evaluation = evaluated.evaluation
    direction = evaluation.direction
    cases, patients = len(evaluation.cases), len({case.patient for case in evaluation.cases})
    real = {"real": "real ", "simulated": "simulated ", "unknown": ""}[evaluation.data_kind]
    scans = labels.count(cases, f"{real}scan")
    return (
        f"A model was given {scans} of {labels.count(patients, 'patient')}, each showing {direction.source}, and "
        f"made a synthetic {direction.target} of each. Every synthetic image was compared with the {real}"
        f"{direction.target} of the same patient, and so were simpler methods."
    )


def _rows(evaluated: Evaluated, view: View, intensity: str = "as_written") -> dict[tuple[str, str], SummaryRow]:
    place = (view.protocol, view.region, intensity)
    rows = evaluated.evaluation.summary
    return {(row.metric, row.method): row for row in rows if (row.protocol, row.region, row.intensity) == place}


def _cards(evaluated: Evaluated, view: View) -> Iterator[Html]:
    rows = _rows(evaluated, view)
    for name, plain in _CARDS.items():
        ours, before = rows.get((name, "synthetic")), rows.get((name, "source"))
        if ours is None:
            continue
        known = labels.metric(name)
        decimals = labels.decimals_for([ours.mean, before.mean if before else None])
        value = [labels.number(ours.mean, decimals), tag("small", f" ± {labels.number(ours.sd, decimals)} {ours.unit}")]
        against = f"untouched source {labels.number(before.mean, decimals)} {ours.unit}".rstrip() if before else ""
        label = f"{known.label} {known.arrow}"
        title = [tag("b", label), " of the synthetic image", tag("br"), tag("small", plain)]
        facts = tag("span", f"{against} · {labels.n_is(ours.n)}".removeprefix(" · "), class_="against")
        yield tag("div", tag("span", title, class_="name"), tag("span", value, class_="value"), facts, class_="card")


def _remarks(evaluated: Evaluated, view: View) -> Iterator[str]:
    yield from _losses(evaluated, view)
    yield from _linear_fit(evaluated, view)
    yield from _smoothness(evaluated, view)
    yield from _worst(evaluated, view)
    yield from _left_out(evaluated)
    missing, refused = len(evaluated.evaluation.missing), len(evaluated.evaluation.refused)
    if missing or refused:
        absent = f"{labels.count(missing, 'missing case')} and {labels.count(refused, 'refused case')}"
        yield f"Not in these figures: {absent}, all listed below."


def _left_out(evaluated: Evaluated) -> Iterator[str]:
    """Says which metrics some cases do not allow, and why."""
    places = dict.fromkeys((entry.protocol, entry.metric) for entry in evaluated.evaluation.left_out)
    for protocol, metric in places:
        own = [e for e in evaluated.evaluation.left_out if (e.protocol, e.metric) == (protocol, metric)]
        cases = labels.count(len({entry.case for entry in own}), "case")
        yield f"{labels.metric(metric).label} ({protocol}) could not be computed in {cases}: {own[0].reason}."


def _losses(evaluated: Evaluated, view: View) -> Iterator[str]:
    """Says on which metrics the mean of the model is worse than a baseline's."""
    rows = _rows(evaluated, view)
    metrics = dict.fromkeys(metric for metric, _ in rows)
    for other in _FLOORS:
        lost = []
        for name in metrics:
            ours, theirs = rows.get((name, "synthetic")), rows.get((name, other))
            if ours is None or theirs is None or ours.mean is None or theirs.mean is None:
                continue
            if labels.metric(name).loss(ours.mean) > labels.metric(name).loss(theirs.mean):
                lost.append(labels.metric(name).label)
        if lost:
            yield f"On average the model lost to the {labels.method(other).lower()} in {', '.join(lost)}."


def _linear_fit(evaluated: Evaluated, view: View) -> Iterator[str]:
    fitted: Gain | None = gain(evaluated, View(view.protocol, view.region, "linear_fit"), "mae", "source")
    if fitted is None:
        return
    rows = _rows(evaluated, view, "linear_fit")
    ours, before = rows.get(("mae", "synthetic")), rows.get(("mae", "source"))
    if ours is None or before is None:
        return
    decimals = labels.decimals_for([ours.mean, before.mean])
    ours_text, before_text = (f"{labels.number(row.mean, decimals)} {row.unit}".rstrip() for row in (ours, before))
    yield (
        f"With every image scaled to the target by the best straight line, MAE is {ours_text} for the synthetic image "
        f"and {before_text} for the untouched source: what is left there is structure, not scale."
    )


def _smoothness(evaluated: Evaluated, view: View) -> Iterator[str]:
    rows = _rows(evaluated, view)
    ours, blurred = rows.get(("ssim", "synthetic")), rows.get(("ssim", "blurred_target"))
    if ours is not None and blurred is not None:
        decimals = labels.decimals_for([ours.mean, blurred.mean])
        yield (
            f"A blurred copy of the target itself{_blur(rows)} reaches SSIM {labels.number(blurred.mean, decimals)} "
            f"(synthetic {labels.number(ours.mean, decimals)}): the figure shows how far smoothness alone goes and is "
            "not a rival."
        )


def _blur(rows: dict[tuple[str, str], SummaryRow]) -> str:
    """Returns by how much the target was blurred, and whether that gave the PSNR of the synthetic image."""
    sigma, gap = (rows.get((name, "blurred_target")) for name in ("blur_sigma", "psnr_gap"))
    if sigma is None or sigma.mean is None or gap is None or gap.mean is None:
        return ""
    blur = f" (sigma {labels.number(sigma.mean, 1)} mm"
    if abs(gap.mean) <= MATCHED_DB:
        return f"{blur}, with the PSNR of the synthetic image)"
    return f"{blur}, its PSNR {labels.number(gap.mean, 1)} dB from that of the synthetic image: not matched)"


def _worst(evaluated: Evaluated, view: View) -> Iterator[str]:
    rows = ranked(evaluated, view)
    if len(rows) > 1:
        score = f"{labels.metric(view.metric).label} {labels.number(rows[-1].value)} {rows[-1].unit}".rstrip()
        yield f"The worst case is {rows[-1].case} with {score}; it is shown below."
