"""Makes the pretrained model `t1ce-to-t1` out of the run of `bench_simulated_training.py`.

    python benchmarks/bench_simulated_training.py
    python benchmarks/make_pretrained.py

Weights become float16. The limit of the mask's shape in the out-of-distribution score is widened to the farthest of the
nine real pairs, which training never saw, because the masks of simulated heads resemble each other more than real ones
do. The limits of intensities and pattern stay, because they tell contrasts apart. The card gets what was measured.
"""

from __future__ import annotations

import json
from dataclasses import replace

import torch
from machine import RESULTS, ROOT, development_data

from voxlate.bundle.bundle import read_bundle, read_weights, write_bundle
from voxlate.bundle.out_of_distribution import TrainingStatistics, describe
from voxlate.io.nifti import read_volume
from voxlate.preparation import fit_preparation

RUN = ROOT / "runs" / "simulated_training"
OUT = ROOT / "src" / "voxlate" / "pretrained" / "t1ce-to-t1"
SUMMARY = (
    "T1 after contrast agent to T1 before it, head, 1 mm, skull-stripped or with a brain mask; trained on simulated "
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


def main() -> None:
    bundle = read_bundle(RUN / "bundle")
    if bundle.training_statistics is None:
        raise SystemExit("the bundle has no statistics of its training scans")
    trained = read_weights(RUN / "bundle" / "weights.safetensors")
    weights = {name: tensor.to(torch.float16) for name, tensor in trained.items()}
    documents = {
        name: json.loads((RUN / "bundle" / f"{name}.json").read_text()) for name in ("mapping", "baselines", "history")
    }
    documents["known"] = widened(bundle.training_statistics).to_json()
    rows = json.loads((RESULTS / "simulated_training.json").read_text())["enhancement"]
    (residual,) = [
        row["mean"]
        for row in rows
        if (row["region"], row["metric"], row["method"]) == ("enhanced", "residual_enhancement", "synthetic")
    ]
    measured = (RUN / "evaluation" / "card.md").read_text().split("\n", 1)[1]
    card = f"# t1ce-to-t1\n\n{SUMMARY.format(residual=residual)}\n\n{ABOUT}\n{measured}"
    write_bundle(OUT, bundle.recipe, weights, documents=documents, card=card)


ABOUT = """No real scan was used for training. The heads were simulated from 19 label maps of real heads (Apache-2.0)
with `recipes/t1ce_to_t1_simulated.yaml`. Both images of a pair had the same acquisition, so that the model keeps the
contrast of its source and removes the contrast agent only. Not measured: voxels other than 1 mm, scans with a skull and
without a brain mask, children, field strengths apart. The nine real pairs set the limit of the mask's shape in the
out-of-distribution score; they were not used for training or for choosing weights."""

if __name__ == "__main__":
    main()
