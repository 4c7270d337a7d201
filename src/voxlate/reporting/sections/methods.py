"""A paragraph for a methods section, made from what was done, with its references, ready to be copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.model_facts import ModelFacts
from voxlate.evaluation.schema.results import Evaluated, Evaluation
from voxlate.evaluation.statistics.intervals import BOOTSTRAP, NO_INTERVAL, OUTLIER_LIMIT
from voxlate.preparation.masks.brain_mask import AUTO, GIVEN
from voxlate.reporting.sections.provenance import mask_methods, values_of_sidecars
from voxlate.reporting.sections.quality import LEVEL
from voxlate.reporting.sections.references import NETWORKS, REFERENCES
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Html, tag

MASKS = {
    "all": ("every voxel", ""),
    "ct": ("found on the CT", ""),
    "ct_watershed": ("found on the CT", ""),
    "deepbet": ("by deepbet", "deepbet"),
    "nonzero": ("the non-zero voxels of skull-stripped scans", ""),
    "robex": ("by ROBEX", "robex"),
}
"""How a methods section states each method of `voxlate.preparation.masks.brain_mask`, which finds the brain of a scan
without a given mask, and the key of its reference."""

_AUTO = ("nonzero", "ct", "deepbet")
"""The methods among which `auto` chooses by the scan."""


class _Cited:
    """References in the order of their first citation."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def mark(self, key: str) -> str:
        """Returns the number in brackets, such as ` [2]`; empty for a text without a reference."""
        if not key:
            return ""
        if key not in self.keys:
            self.keys.append(key)
        return f" [{self.keys.index(key) + 1}]"


def paragraph(evaluated: Evaluated) -> Html:
    """Returns the paragraph with its references and a remark on what the authors must add.

    Args:
        evaluated: an evaluation folder.
    """
    sentences, references = methods_text(evaluated)
    text = tag(
        "div",
        tag("p", " ".join(sentences)),
        tag("ol", [tag("li", reference) for reference in references]) if references else None,
        class_="paste",
    )
    remark = (
        "Made from evaluation.json and the bundle. Add how the scans were acquired, selected, split and registered."
    )
    if evaluated.evaluation.model is None:
        remark += " The network and its training are not stated, because the evaluation was run without a bundle."
    return tag("div", text, note(remark))


def methods_text(evaluated: Evaluated) -> tuple[list[str], list[str]]:
    """Returns the sentences, with numbers of references in brackets, and the references in this order.

    Args:
        evaluated: an evaluation folder.
    """
    evaluation, cited = evaluated.evaluation, _Cited()
    sentences = [_task(evaluated)]
    if evaluation.model is not None:
        sentences += [_network(evaluation.model, cited), _preparation(evaluation.model, mask_methods(evaluated), cited)]
    sentences.append(_metrics(evaluation, cited))
    sentences += _tests(evaluation, cited)
    return [sentence for sentence in sentences if sentence], [REFERENCES[key] for key in cited.keys]


def _task(evaluated: Evaluated) -> str:
    evaluation = evaluated.evaluation
    direction = evaluation.direction
    versions = values_of_sidecars(evaluated).get("SoftwareVersion", [])
    software = f"voxlate {versions[0] if len(versions) == 1 else evaluation.voxlate_version}"
    return (
        f"Synthetic {direction.target} images were computed from {direction.source} images with {software} and "
        f"compared with the {evaluation.kind_shown}{direction.target} images "
        f"in {labels.count(len(evaluation.cases), 'scan')} of {labels.count(evaluation.n_patients, 'patient')}."
    )


def _network(model: ModelFacts, cited: _Cited) -> str:
    name, key = NETWORKS.get(model.network, (model.network.replace("_", " "), ""))
    losses = ", ".join(f"{name.replace('_', ' ')} (weight {weight:g})" for name, weight in model.loss.items() if weight)
    parts = [f"The network is {name}{cited.mark(key)}"]
    if model.is_cycle:
        parts.append(f"trained without pairs by cycle consistency{cited.mark('cyclegan')}")
    elif model.is_adversarial:
        parts.append(f"trained with a conditional discriminator{cited.mark('pix2pix')}")
    text = ", ".join(parts)
    if losses:
        text += f"; its losses are {losses}"
    facts = list(_training(model))
    told = [f"{text}."] + ([f"It was trained {', '.join(facts)}."] if facts else [])
    if model.starts:
        told.append(f"Its training began with the weights of {', which began with those of '.join(model.starts)}.")
    return " ".join(told)


def _training(model: ModelFacts) -> Iterable[str]:
    if model.training_cases:
        yield f"on {labels.count(model.training_cases, 'case')}"
    if model.steps:
        yield f"for {model.steps:,} optimiser steps"
    if model.window and model.batch:
        yield f"with {labels.count(model.batch, 'window')} of {' x '.join(map(str, model.window))} voxels per step"
    if model.optimiser and model.learning_rate:
        shown = {"adam": "Adam", "adamw": "AdamW"}.get(model.optimiser, model.optimiser)
        yield f"by {shown} at a learning rate of at most {model.learning_rate:g}"


def _preparation(model: ModelFacts, used: Sequence[str], cited: _Cited) -> str:
    """Returns what was done to each scan; the brain masks are those of the evaluated cases where they are known.

    Args:
        model: facts of the model.
        used: methods of the masks of the evaluated cases; empty where their sidecars state none.
        cited: gets the references.
    """
    settings = model.preparation
    if not settings:
        return ""
    parts = []
    masks = _masks_used(used, cited) if used else _masks_intended(str(settings.get("brain_mask", "")), cited)
    if masks:
        parts.append(f"brain masks {masks}")
    if settings.get("bias"):
        parts.append(f"the bias field was corrected with N4{cited.mark('n4')}")
    if settings.get("range_hu"):
        low, high = settings["range_hu"]
        parts.append(f"CT was windowed from {low:g} to {high:g} HU")
    elif settings.get("reference"):
        parts.append(f"intensities were divided by a reference level ({str(settings['reference']).replace('_', ' ')})")
    text = "; ".join(parts)
    return f"Preparation of each scan: {text}." if text else ""


def _masks_used(used: Sequence[str], cited: _Cited) -> str:
    """Returns how the masks of the evaluated cases were found."""
    texts = []
    for method in used:
        names = [MASKS[name] for name in method.split("+") if name in MASKS]
        found = " and ".join(f"{text}{cited.mark(key)}" for text, key in names)
        texts += ["as given"] if method == GIVEN else [found] if found else []
    return f"{', '.join(texts[:-1])} or {texts[-1]}" if len(texts) > 1 else "".join(texts)


def _masks_intended(method: str, cited: _Cited) -> str:
    """Returns how the recipe finds masks, where no case states how its own was found."""
    is_auto = method == AUTO
    methods = [MASKS[name] for name in (_AUTO if is_auto else method.split("+")) if name in MASKS]
    found = [f"{text}{cited.mark(key)}" for text, key in methods]
    if not found:
        return ""
    told = f"as the scan required, {', '.join(found[:-1])} or {found[-1]}" if is_auto else " and ".join(found)
    return f"as given, or else {told}"


def _metrics(evaluation: Evaluation, cited: _Cited) -> str:
    protocol = evaluation.protocols[0].name
    names = list(dict.fromkeys(row.metric for row in evaluation.summary if row.protocol == protocol))
    keys = {"ssim": "ssim", "ms_ssim": "ms_ssim"}
    judged = [name for name in names if metric_of(name).direction]
    if not judged:
        return ""
    listed = ", ".join(f"{metric_of(name).label}{cited.mark(keys.get(name, ''))}" for name in judged)
    regions = list(dict.fromkeys(row.region for row in evaluation.summary if row.protocol == protocol))
    where = ", ".join(region.replace("_", " ") for region in regions)
    baselines = [labels.method(name).lower() for name in evaluation.methods if name != "synthetic"]
    against = f"; the same was done for: {', '.join(baselines)}" if baselines else ""
    return f"Image quality was measured by protocol {protocol} ({listed}; regions: {where}){against}."


def _tests(evaluation: Evaluation, cited: _Cited) -> list[str]:
    tested = [test for test in evaluation.comparisons if test.p_adjusted is not None]
    averaged = "Scans of a patient were averaged first, and means over patients are given with standard deviations"
    if not tested:
        return [f"{averaged}; no test was run."]
    sizes = sorted({test.comparisons for test in tested})
    families = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
    intervals = " or ".join(sorted({test.interval for test in tested} - {"", NO_INTERVAL}))
    with_intervals = f", with 95 % intervals of the mean difference by {intervals}" if intervals else ""
    limit = [f"{OUTLIER_LIMIT}."] if BOOTSTRAP in intervals else []
    return [
        f"{averaged}{with_intervals}.",
        *limit,
        (
            "Methods were compared by two-sided sign-flip permutation tests, paired over patients, adjusted by Holm's "
            f"method{cited.mark('holm')} within families of {families} tests at a level of {LEVEL:g}."
        ),
    ]
