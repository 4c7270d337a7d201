"""The share of the starting weights that fine-tuning keeps: `training.start_share`, after few and many steps.

    python benchmarks/bench_fine_tuning.py
    python benchmarks/peers/run.py --seconds 1800 --task t1ce-to-t1 --system "voxlate, from the shipped model"
    python benchmarks/bench_start_share.py

The first two commands fine-tune the pretrained model on six of the nine real pairs in three folds, with 600 steps and
with some 7,000. The setting changes what is kept at the end and not how it is trained, so that no training is repeated:
weights between the start and the end translate the three pairs of a fold that were left out. An image that is there is
not made again. Half an hour on one core. Without the development data it says so and ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench_fine_tuning import BASE, RUN, Values, summary, tested, values_of
from machine import HELD_OUT, ROOT, development_data, pair_cases, write_result

from voxlate.bundle.bundle import Bundle, read_bundle
from voxlate.bundle.pretrained import find_bundle
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.training.validation import toward_start

LONG = ROOT / "runs" / "peers" / "t1ce-to-t1-1800s" / "voxlate, from the shipped model"
TRAININGS = {"600 steps": RUN / "fold-{fold}" / "fine_tuned", "1,800 s": LONG / "fold-{fold}" / "work" / "run"}
"""Runs of each training; the first ends after as many steps as the recipe says."""

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)


def keeping(run: Path, share: float) -> Bundle:
    """Returns the bundle of a run with a share of the weights that it started from."""
    bundle, start = read_bundle(run / "bundle"), read_bundle(find_bundle(BASE))
    bundle.network.load_state_dict(toward_start(bundle.network.state_dict(), start.network.state_dict(), share))
    return bundle


def measured(pairs: Path, training: str, share: float) -> Values:
    """Returns value by metric and pair, each pair translated by the training that has not seen it."""
    found: Values = {}
    for fold, held_out in enumerate(HELD_OUT):
        cases = [case for case in pair_cases(pairs, held_out) if case.split == "test"]
        out = ROOT / "runs" / "start_share" / training / f"{share}" / f"fold-{fold}"
        items = [Item(case.case, case.source) for case in cases]
        if not all((out / "synthetic" / f"{item.name}.nii.gz").is_file() for item in items):
            bundle = keeping(Path(str(TRAININGS[training]).format(fold=fold)), share)
            options = Options(gate="off", keep_spacing=True)
            translate_many(bundle, items, out / "synthetic", options=options, overwrite=True)
        folders = {case.case: out / "synthetic" for case in cases}
        for key, values in values_of(cases, folders, out / "evaluation", {}).items():
            found.setdefault(key, {}).update(values)
    return found


def main() -> None:
    pairs = development_data("pairs")
    if pairs is None:
        return
    content: dict[str, Any] = {}
    for training in TRAININGS:
        values = {share: measured(pairs, training, share) for share in SHARES}
        content[training] = {
            str(share): {
                "summary": {key: summary(of_pairs) for key, of_pairs in found.items()},
                "minus_none_kept": tested(found, values[0.0]) if share else {},
            }
            for share, found in values.items()
        }
    write_result("start_share", {"shares": SHARES, "trainings": content})


if __name__ == "__main__":
    main()
