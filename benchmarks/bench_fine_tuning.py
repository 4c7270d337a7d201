"""The pretrained model fine-tuned on real pairs, by leave-three-out over the nine pairs of the development data.

    python benchmarks/bench_fine_tuning.py

Trains `recipes/t1ce_to_t1_finetuned.yaml` three times on six pairs, each time from the pretrained model, from it with
the variant `mixed` (simulated and semi-synthetic windows beside those of the pairs), and from random weights, all with
as many steps, and translates the three pairs that were left out. So each pair is tested once by a model that has not
seen it. Two more trainings, one of them with the variant `two_pairs` (900 steps with larger windows, 13 minutes), take
the two pairs whose licence lets weights be shipped (CC BY); the other seven test them. The tissue maps are those of
`bench_simulated_training.py`. The other trainings take 5 to 8 minutes on one core. Each stage is skipped when its files
exist, so that the command continues after an interruption. Without the development data it says so and ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import ENHANCING_LABELS, HELD_OUT, ROOT, case_scores, development_data, pair_cases, write_result
from simulated_heads import TISSUE_MAPS

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.pretrained import find_bundle
from voxlate.bundle.recipe import Recipe, read_recipe
from voxlate.cases import Case, write_cases
from voxlate.evaluation.enhancement import PROTOCOL
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.statistics import mean_interval, sign_flip
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.training.loop import train

RUN = ROOT / "runs" / "fine_tuning"
BASE = "t1ce-to-t1-simulated"
OPEN_LICENCE = ("MS_ljubljana_07", "TCGA-FG-6692_sri24")
"""Pairs under CC BY; the terms of the seven others were not found to allow shipped weights."""

SYSTEMS = {"zero_shot": None, "fine_tuned": BASE, "mixed": BASE, "real_only": None}
"""Systems, with the weights that the training of each begins with; the zero-shot model is not trained here."""

Values = dict[str, dict[str, float]]
"""Value by pair, by name."""


def recipe_of(*variants: str) -> Recipe:
    """Returns the recipe with some of its variants, which take the tissue maps of this benchmark."""
    overrides = {"simulated.heads": str(TISSUE_MAPS)} if variants else None
    return read_recipe(ROOT / "recipes" / "t1ce_to_t1_finetuned.yaml", variants=variants, overrides=overrides)


def run_fold(pairs: Path, system: str, fold: int) -> None:
    """Trains a system on six pairs, unless it is the zero-shot model, and translates the other three."""
    folder = RUN / f"fold-{fold}"
    cases = pair_cases(pairs, HELD_OUT[fold])
    write_cases(folder / "cases.tsv", cases)
    bundle = find_bundle(BASE)
    if system != "zero_shot":
        bundle = folder / system / "bundle"
        if not (bundle / "manifest.json").is_file():
            recipe = recipe_of(*(["mixed"] if system == "mixed" else []))
            start = None if SYSTEMS[system] is None else find_bundle(BASE)
            train(recipe, folder / system, root=folder, resume=True, start_from=start)
    items = [Item(case.case, case.source) for case in cases if case.split == "test"]
    out = RUN / "synthetic" / system / f"fold-{fold}"
    if not all((out / f"{item.name}.nii.gz").is_file() for item in items):
        options = Options(gate="off", keep_spacing=True)
        translate_many(read_bundle(bundle), items, out, options=options, overwrite=True)


def measure(pairs: Path, system: str) -> dict[str, dict[str, float]]:
    """Returns value by case and metric of a system, and of the untouched source under `source:`."""
    found: dict[str, dict[str, float]] = {}
    for fold, held_out in enumerate(HELD_OUT):
        cases = [case for case in pair_cases(pairs, held_out) if case.split == "test"]
        out = RUN / "evaluation" / system / f"fold-{fold}"
        for key, values in values_of(cases, RUN / "synthetic" / system / f"fold-{fold}", out).items():
            found.setdefault(key, {}).update(values)
    return found


def values_of(
    cases: Sequence[Case], synthetic: Path, out: Path, *, bundle: Path | None = None
) -> dict[str, dict[str, float]]:
    """Evaluates cases and returns value by case and metric, see `measure`."""
    found: dict[str, dict[str, float]] = {}
    settings = Settings(data_kind="real", enhancing_labels=ENHANCING_LABELS)
    outcome = evaluate_cases(cases, synthetic, out, settings=settings, bundle=bundle)
    assert outcome.n_evaluated == len(cases), f"{synthetic.name}: not all cases were evaluated"
    for case in cases:
        for method, protocol, region, metric, value in case_scores(out, case.case):
            is_wanted = protocol == PROTOCOL or (region in ("mask", "lesion") and metric in ("mae", "psnr", "ssim"))
            if method in ("synthetic", "source") and is_wanted:
                key = f"{region}:{metric}" if method == "synthetic" else f"source:{region}:{metric}"
                found.setdefault(key, {})[case.case] = value
    return found


def open_licence(pairs: Path, *, is_mixed: bool) -> dict[str, dict[str, float]]:
    """Fine-tunes the pretrained model on the two pairs of open licence, and returns its values on the other seven."""
    folder = RUN / ("open_licence_mixed" if is_mixed else "open_licence")
    held_out = [path.name for path in sorted(pairs.iterdir()) if path.is_dir() and path.name not in OPEN_LICENCE]
    cases = pair_cases(pairs, held_out)
    write_cases(folder / "cases.tsv", cases)
    if not (folder / "run" / "bundle" / "manifest.json").is_file():
        recipe = recipe_of(*(["two_pairs"] if is_mixed else []))
        train(recipe, folder / "run", root=folder, resume=True, start_from=find_bundle(BASE))
    tested = [case for case in cases if case.split == "test"]
    items = [Item(case.case, case.source) for case in tested]
    if not all((folder / "synthetic" / f"{item.name}.nii.gz").is_file() for item in items):
        options = Options(gate="off", keep_spacing=True)
        bundle = read_bundle(folder / "run" / "bundle")
        translate_many(bundle, items, folder / "synthetic", options=options, overwrite=True)
    return values_of(tested, folder / "synthetic", folder / "evaluation", bundle=folder / "run" / "bundle")


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


def main() -> None:
    pairs = development_data("pairs")
    if pairs is None:
        return
    for system in SYSTEMS:
        for fold in range(len(HELD_OUT)):
            run_fold(pairs, system, fold)
    measured = {system: measure(pairs, system) for system in SYSTEMS}
    measured["open_licence"] = open_licence(pairs, is_mixed=False)
    measured["open_licence_mixed"] = open_licence(pairs, is_mixed=True)
    write_result(
        "fine_tuning",
        {
            "held_out": HELD_OUT,
            "steps": read_recipe(ROOT / "recipes" / "t1ce_to_t1_finetuned.yaml").steps,
            "base_sha256": read_bundle(find_bundle(BASE)).weights_sha256,
            "summary": {name: {key: summary(v) for key, v in rows.items()} for name, rows in measured.items()},
            "cases": {
                name: {
                    key: {case: value if np.isfinite(value) else None for case, value in values.items()}
                    for key, values in rows.items()
                }
                for name, rows in measured.items()
            },
            **{
                f"{first}_minus_{second}": tested(measured[first], measured[second])
                for first, second in (
                    ("fine_tuned", "real_only"),
                    ("mixed", "fine_tuned"),
                    ("open_licence_mixed", "open_licence"),
                    ("open_licence_mixed", "zero_shot"),
                )
            },
        },
    )


if __name__ == "__main__":
    main()
