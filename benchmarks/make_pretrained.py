"""Makes the pretrained models out of the runs of `bench_simulated_training.py` and `bench_fine_tuning.py`.

    python benchmarks/bench_simulated_training.py
    python benchmarks/bench_fine_tuning.py
    python benchmarks/make_pretrained.py

Weights become float16. The limit of the mask's shape in the out-of-distribution score is widened to the farthest of the
nine real pairs, which training never saw, because the masks of simulated heads resemble each other more than real ones
do. The limits of intensities and pattern stay, because they tell contrasts apart. The card gets what was measured.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from machine import ROOT, development_data

from voxlate.bundle.bundle import read_bundle, read_weights, write_bundle
from voxlate.bundle.out_of_distribution import TrainingStatistics, describe
from voxlate.evaluation.enhancement import PROTOCOL
from voxlate.evaluation.schema.results import read_evaluation
from voxlate.io.nifti import read_volume
from voxlate.preparation import fit_preparation

RUN = ROOT / "runs" / "slices"
"""The second stage of `bench_simulated_training.py`."""
OUT = ROOT / "src" / "voxlate" / "pretrained"
SUMMARY = (
    "T1 after contrast agent to T1 before it, head, with or without skull, slices of up to 8 mm; trained on simulated "
    "heads alone; on nine real pairs {residual:.0f} % of the enhancement is left; for research, not for diagnosis."
)


def widened(statistics: TrainingStatistics) -> TrainingStatistics:
    """Returns statistics whose limit of the mask's shape includes every real pair."""
    pairs = development_data("pairs")
    if pairs is None:
        raise SystemExit("the limits need the development data")
    normal = dict(statistics.normal)
    for folder in sorted(path for path in pairs.iterdir() if path.is_dir()):
        source = read_volume(folder / "t1ce.nii.gz")
        preparation = fit_preparation(source, None, read_bundle(RUN / "bundle").recipe.preparation)
        description = describe(preparation.apply(source).data, preparation.mask)
        normal["shape"] = max(normal["shape"], statistics.distance(description, "shape"))
    return replace(statistics, normal=normal)


def make(
    name: str, run: Path, evaluation: Path, summary: str, about: str, statistics: TrainingStatistics | None = None
) -> None:
    """Writes a pretrained bundle with float16 weights and a card.

    Args:
        name: of the model.
        run: folder of the training.
        evaluation: folder of the evaluation of its bundle on real pairs.
        summary: first sentence of the card, with `{residual}` for the residual enhancement in per cent.
        about: paragraph on training and limits.
        statistics: of the training scans; those of the bundle without it.
    """
    bundle = read_bundle(run / "bundle")
    statistics = statistics or bundle.training_statistics
    if statistics is None:
        raise SystemExit("the bundle has no statistics of its training scans")
    trained = read_weights(run / "bundle" / "weights.safetensors")
    weights = {part: tensor.to(torch.float16) for part, tensor in trained.items()}
    documents = {
        part: json.loads((run / "bundle" / f"{part}.json").read_text()) for part in ("mapping", "baselines", "history")
    }
    documents["known"] = statistics.to_json()
    (residual,) = [
        row.mean
        for row in read_evaluation(evaluation).evaluation.summary
        if (row.protocol, row.region, row.metric, row.method)
        == (PROTOCOL, "enhanced", "residual_enhancement", "synthetic")
    ]
    measured = (evaluation / "card.md").read_text().split("\n", 1)[1]
    card = f"# {name}\n\n{summary.format(residual=residual)}\n\n{about}\n{measured}"
    write_bundle(OUT / name, bundle.recipe, weights, documents=documents, card=card)


def main() -> None:
    simulated = read_bundle(RUN / "bundle").training_statistics
    if simulated is None:
        raise SystemExit("the bundle has no statistics of its training scans")
    statistics = widened(simulated)
    make("t1ce-to-t1", RUN, RUN / "evaluation", SUMMARY, ABOUT, statistics)
    tuned = ROOT / "runs" / "fine_tuning" / "open_licence"
    if (tuned / "run" / "bundle" / "manifest.json").is_file():
        # Two scans set no limits: those of the simulated heads, with which the training began, hold on.
        make("t1ce-to-t1-finetuned", tuned / "run", tuned / "evaluation", SUMMARY_TUNED, ABOUT_TUNED, statistics)


ABOUT = """No real scan was used for training. The heads were simulated from 19 label maps of real heads (Apache-2.0)
with `recipes/t1ce_to_t1_simulated.yaml` and, with thick slices, `recipes/t1ce_to_t1_slices.yaml`. Both images of a pair
had the same acquisition, so that the model keeps the contrast of its source and removes the contrast agent only. Slices
of 2 to 7 mm are measured in docs/models.md. Not measured: scans with a skull and without a brain mask, children, field
strengths apart. The nine real pairs set the limit of the mask's shape in the out-of-distribution score; they were not
used for training or for choosing weights."""

SUMMARY_TUNED = (
    "T1 after contrast agent to T1 before it, head, 1 mm, skull-stripped or with a brain mask; trained on simulated "
    "heads, then on two real pairs; on seven other real pairs {residual:.0f} % of the enhancement is left (below 0: "
    "darker than it was); for research, not for diagnosis."
)
ABOUT_TUNED = """Training began with weights that saw simulated heads alone (`recipes/t1ce_to_t1_simulated.yaml`, the
first stage of `t1ce-to-t1`, without thick slices) and went on for 600 steps on two real pairs whose licence lets
weights be shared: MS_ljubljana_07 (multiple sclerosis; Lesjak et al. 2017, CC BY) and TCGA-FG-6692 (glioma; TCIA,
TCGA-LGG, CC BY 3.0), with `recipes/t1ce_to_t1_finetuned.yaml`. Two pairs are few: the model removes more of the
enhancement than `t1ce-to-t1`, and makes enhancing lesions darker than they are without agent. Choose `t1ce-to-t1`
where a lesion that is too dark is worse than one that is still bright. The limits of the out-of-distribution score are
those of `t1ce-to-t1`. Not measured: as there."""

if __name__ == "__main__":
    main()
