"""The pretrained model fine-tuned on real pairs, by leave-three-out over the nine pairs of the development data.

    python benchmarks/bench_fine_tuning.py

Trains `recipes/t1ce_to_t1_finetuned.yaml` three times on six pairs: from the pretrained model, from it with the
variants `mixed` and `several_pairs` (simulated and semi-synthetic windows beside those of the pairs), and from random
weights; each training translates the three pairs that were left out. So each pair is tested once by a model that has
not seen it. The weights of the shipped model are the mean of two of these trainings and, for a share, those of the
start. To these weights the variant `reference` adds layers for the contrast of a reference scan, which
`bench_like.py` measures. Two more trainings take two pairs; the other seven test them. The last ones, those of the
shipped model `t1ce-to-t1`, take the eight pairs whose licence lets weights be shared. The tissue maps are those of
`bench_simulated_training.py`. Trainings of 600 steps with windows of 64 voxels take 5 to 8 minutes on one core, those
of 900 steps with windows of 96 voxels 15 to 20. Each stage is skipped when its files exist, so that the command
continues after an interruption. Without the development data it says so and ends.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import ENHANCING_LABELS, HELD_OUT, ROOT, case_scores, development_data, pair_cases, stamp, write_result
from simulated_heads import TISSUE_MAPS

from voxlate.bundle.bundle import read_bundle, read_weights, write_bundle
from voxlate.bundle.pretrained import find_bundle
from voxlate.bundle.recipe import read_recipe
from voxlate.cases import Case, write_cases
from voxlate.evaluation.enhancement import PROTOCOL
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Baselines, Settings
from voxlate.evaluation.statistics import mean_interval, sign_flip
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.io.atomic import write_json
from voxlate.training.loop import train
from voxlate.training.validation import toward_start

RUN = ROOT / "runs" / "fine_tuning"
BASE = "t1ce-to-t1-simulated"
VARIANT = "several_pairs"
TWO_PAIRS = ("MS_ljubljana_07", "TCGA-FG-6692_sri24")
LICENSED = (
    *TWO_PAIRS,
    "BraTS-GLI-00000-000",
    "BraTS-GLI-00001-000",
    "BraTS2021_00006",
    "BraTS2021_01657",
    "BraTS2021_01658",
    "BraTS2021_01659",
)
"""Pairs whose licence lets weights be shared: two under CC BY, and six of RSNA-ASNR-MICCAI BraTS 2021, which The Cancer
Imaging Archive publishes under CC BY 4.0 (doi:10.7937/jc8x-9874). Brats18_2013_2_1 is under the terms of a challenge.
"""


@dataclass(frozen=True)
class Training:
    """A training on some of the nine pairs.

    Attributes:
        start: model whose weights it begins with, by its name or folder; None for random weights.
        variants: of the recipe.
    """

    start: str | Path | None
    variants: tuple[str, ...] = ()


TRAININGS = {
    "fine_tuned": Training(BASE),
    "mixed": Training(BASE, ("mixed",)),
    "real_only": Training(None),
    VARIANT: Training(BASE, (VARIANT,)),
}
"""Trainings by name, each run three times on six pairs; two of them once more on eight."""

AVERAGED = ("fine_tuned", VARIANT)
"""Trainings whose weights the shipped model averages: the first removes more enhancement, the second keeps more of what
the simulated heads taught, and networks from one start can be averaged (model soups; Wortsman et al., ICML 2022)."""

KEPT = 0.2
"""Share of the starting weights in the shipped model (WiSE-FT, see `training.start_share`). Without it the inside of a
large simulated tumour that enhances evenly stayed bright: the real pairs have rims. Of 0, 0.2 and 0.3 the least with
which it did not. After a change of it remove `RUN/synthetic/shipped`, whose images are not made again."""

COMPARISONS = (
    ("fine_tuned", "real_only"),
    ("mixed", "fine_tuned"),
    ("two_pairs_mixed", "two_pairs"),
    ("shipped", "zero_shot"),
    ("shipped", "real_only"),
    ("shipped", "fine_tuned"),
    ("shipped", VARIANT),
)
SHIPPED = RUN / "eight_pairs"
DOCUMENTS = ("mapping", "baselines", "history", "known")
COMMIT = "commit.json"
"""File beside a training that states the commit of the code."""

Values = dict[str, dict[str, float]]
"""Value by pair, by name."""


def train_once(folder: Path, cases: list[Case], training: Training) -> Path:
    """Trains the recipe on the training cases of a table, unless that is done, and returns the bundle."""
    write_cases(folder.parent / "cases.tsv", cases)
    bundle = folder / "bundle"
    if not (bundle / "manifest.json").is_file():
        overrides = {"simulated.heads": str(TISSUE_MAPS)} if training.variants else None
        path = ROOT / "recipes" / "t1ce_to_t1_finetuned.yaml"
        recipe = read_recipe(path, variants=training.variants, overrides=overrides)
        start = None if training.start is None else find_bundle(training.start)
        train(recipe, folder, root=folder.parent, resume=True, start_from=start)
        write_json(folder / COMMIT, {"commit": stamp()["commit"]})
    return bundle


def averaged(folder: Path, bundles: Sequence[Path]) -> Path:
    """Writes a bundle with the mean weights of two, and `KEPT` of those of the start; all else is of the second."""
    start, first, second = (read_weights(path / "weights.safetensors") for path in (find_bundle(BASE), *bundles))
    weights = toward_start(toward_start(first, second, 0.5), start, KEPT)
    last = read_bundle(bundles[1])
    documents = {name: json.loads((bundles[1] / f"{name}.json").read_text()) for name in DOCUMENTS}
    card = (bundles[1] / "card.md").read_text()
    write_bundle(folder, last.recipe, weights, documents=documents, card=card)
    return folder


def translate_tested(bundle: Path, cases: list[Case], out: Path) -> list[Case]:
    """Translates the test cases of a table unless that is done, and returns them."""
    tested = [case for case in cases if case.split == "test"]
    items = [Item(case.case, case.source) for case in tested]
    if not all((out / f"{item.name}.nii.gz").is_file() for item in items):
        options = Options(gate="off", keep_spacing=True)
        translate_many(read_bundle(bundle), items, out, options=options, overwrite=True)
    return tested


def left_out(pairs: Path, system: str) -> Values:
    """Trains a system three times, and returns value by metric and case of all nine pairs.

    Args:
        pairs: folder of the real pairs.
        system: a key of `TRAININGS`, `shipped`, or `zero_shot` for the model as it is.
    """
    tested, folders, bundles = list[Case](), dict[str, Path](), dict[str, Path]()
    for fold, names in enumerate(HELD_OUT):
        cases, folder = pair_cases(pairs, names), RUN / f"fold-{fold}"
        if system == "zero_shot":
            bundle = find_bundle(BASE)
        elif system == "shipped":
            bundle = averaged(bundle_without(names[0]), [folder / name / "bundle" for name in AVERAGED])
        else:
            bundle = train_once(folder / system, cases, TRAININGS[system])
        out = RUN / "synthetic" / system / f"fold-{fold}"
        tested += translate_tested(bundle, cases, out)
        folders |= dict.fromkeys(names, out)
        if system != "zero_shot":  # its histogram match was fitted on simulated heads
            bundles |= dict.fromkeys(names, bundle)
    return values_of(tested, folders, RUN / "evaluation" / system, bundles)


def with_reference(folder: Path, cases: list[Case]) -> Path:
    """Adds layers for the contrast of a reference to the bundle in `folder/shipped`, and returns the new bundle."""
    return train_once(folder / "reference", cases, Training(folder / "shipped" / "bundle", ("reference",)))


def bundle_without(case: str, name: str = "shipped") -> Path:
    """Returns the bundle that was made as the shipped model from six pairs, and has not seen this one.

    Args:
        case: of the nine.
        name: `reference` for the bundle whose network also takes the contrast of a reference.
    """
    fold = next(fold for fold, names in enumerate(HELD_OUT) if case in names)
    return RUN / f"fold-{fold}" / name / "bundle"


def split_by(pairs: Path, trained_on: Collection[str]) -> list[Case]:
    """Returns the nine pairs, some of them for training and the others for testing."""
    return pair_cases(pairs, [case.case for case in pair_cases(pairs) if case.case not in trained_on])


def on_two(pairs: Path, name: str, variants: tuple[str, ...] = ()) -> Values:
    """Fine-tunes the pretrained model on two pairs, and returns its values on the other seven, see `left_out`."""
    cases, folder = split_by(pairs, TWO_PAIRS), RUN / name
    bundle = train_once(folder / "run", cases, Training(BASE, variants))
    tested = translate_tested(bundle, cases, folder / "synthetic")
    folders, bundles = ({case.case: path for case in tested} for path in (folder / "synthetic", bundle))
    return values_of(tested, folders, folder / "evaluation", bundles)


def shipped_bundle(pairs: Path) -> Path:
    """Trains the shipped model on the eight pairs whose licence lets weights be shared, and returns its bundle."""
    cases = split_by(pairs, LICENSED)
    trained = [train_once(SHIPPED / name, cases, TRAININGS[name]) for name in AVERAGED]
    averaged(SHIPPED / "shipped" / "bundle", trained)
    return with_reference(SHIPPED, cases)


def values_of(cases: list[Case], synthetic: Mapping[str, Path], out: Path, bundles: Mapping[str, Path]) -> Values:
    """Evaluates cases and returns value by metric and case, those of the untouched source under `source:`.

    Args:
        cases: the cases.
        synthetic: folder of the synthetic image of each case.
        out: folder of the evaluation.
        bundles: bundle that translated each case, for the histogram match.
    """
    found: Values = {}
    settings = Settings(data_kind="real", enhancing_labels=ENHANCING_LABELS, baselines=Baselines(bundles=bundles))
    outcome = evaluate_cases(cases, synthetic, out, settings=settings)
    assert outcome.n_evaluated == len(cases), f"{out}: not all cases were evaluated"
    for case in cases:
        for method, protocol, region, metric, value in case_scores(out, case.case):
            is_wanted = protocol == PROTOCOL or (region in ("mask", "lesion") and metric in ("mae", "psnr", "ssim"))
            if method in ("synthetic", "source") and is_wanted:
                key = f"{region}:{metric}" if method == "synthetic" else f"source:{region}:{metric}"
                found.setdefault(key, {})[case.case] = value
    return found


def summary(values: dict[str, float]) -> dict[str, Any]:
    """Returns mean with its 95 % interval, median and number of cases."""
    numbers = np.array([value for value in values.values() if np.isfinite(value)])
    interval = mean_interval(numbers)
    return {
        "n": int(numbers.size),
        "mean": float(numbers.mean()),
        "low": interval.low if np.isfinite(interval.low) else None,  # of equal values, as of the source's 100 %
        "high": interval.high if np.isfinite(interval.high) else None,
        "median": float(np.median(numbers)),
        "worst": float(numbers.max()),
    }


def tested(first: Values, second: Values) -> dict[str, dict[str, float]]:
    """Returns the mean difference of each value over the shared pairs, with the p of a permutation test.

    Args:
        first: value by pair, by name.
        second: the same of another system.
    """
    tests = {}
    for key, ours in first.items():
        shared = sorted(set(ours) & set(second.get(key, {})))
        if not key.startswith("source:") and len(shared) >= 3:
            pair = [ours[case] for case in shared], [second[key][case] for case in shared]
            tests[key] = {"n": len(shared), "difference": float(np.mean(pair[0]) - np.mean(pair[1]))}
            tests[key]["p_permutation"] = sign_flip(*pair).p
    return tests


def trained_at(system: str) -> str | None:
    """Returns the commit of the code that trained a system; None of a model that was not trained here."""
    paths = (RUN / system / "run" / COMMIT, RUN / "fold-0" / system / COMMIT)
    path = next((path for path in paths if path.is_file()), None)
    return None if path is None else json.loads(path.read_text())["commit"]


def main() -> None:
    pairs = development_data("pairs")
    if pairs is None:
        return
    measured = {system: left_out(pairs, system) for system in ("zero_shot", *TRAININGS, "shipped")}
    for fold, names in enumerate(HELD_OUT):
        with_reference(RUN / f"fold-{fold}", pair_cases(pairs, names))
    measured["two_pairs"] = on_two(pairs, "two_pairs")
    measured["two_pairs_mixed"] = on_two(pairs, "two_pairs_mixed", ("two_pairs",))
    shipped_bundle(pairs)
    write_result(
        "fine_tuning",
        {
            "held_out": HELD_OUT,
            "steps": read_recipe(ROOT / "recipes" / "t1ce_to_t1_finetuned.yaml").steps,
            "base_sha256": read_bundle(find_bundle(BASE)).weights_sha256,
            "trained_at": {name: trained_at(name) for name in measured},
            "summary": {name: {key: summary(v) for key, v in rows.items()} for name, rows in measured.items()},
            "cases": {
                name: {
                    key: {case: value if np.isfinite(value) else None for case, value in values.items()}
                    for key, values in rows.items()
                }
                for name, rows in measured.items()
            },
            **{f"{first}_minus_{second}": tested(measured[first], measured[second]) for first, second in COMPARISONS},
        },
    )


if __name__ == "__main__":
    main()
