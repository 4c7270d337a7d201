"""Makes the pretrained models out of the runs that the three benchmarks below train; those of them that there are.

    python benchmarks/bench_simulated_training.py
    python benchmarks/bench_fine_tuning.py
    python benchmarks/bench_simulated_models.py
    python benchmarks/make_pretrained.py

Weights become float16. The limits of the mask's shape and of the pattern in the out-of-distribution score are widened
to the farthest of some scans that training never saw (the nine real pairs; for CT, the simulated test heads), because
simulated heads resemble each other more. The limit of the intensities stays, because it tells contrasts apart; only for
the model that was trained on real scans it includes them.
For CT all three are widened, to the test heads with the offsets that training had (`recipes/ct_to_mr_simulated.yaml`):
another modality is recognised before by its values. The card gets what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from bench_fine_tuning import RUN as FINE_TUNING
from bench_fine_tuning import SHIPPED
from bench_simulated_models import FOLDER, MODELS, test_cases
from bench_simulated_training import RUN
from machine import ROOT, development_data

from voxlate.bundle.bundle import read_bundle, read_weights, write_bundle
from voxlate.bundle.out_of_distribution import TrainingStatistics, describe
from voxlate.evaluation.card import write_measured_card
from voxlate.evaluation.enhancement import PROTOCOL
from voxlate.evaluation.protocols import AS_WRITTEN
from voxlate.evaluation.schema.results import read_evaluation
from voxlate.io.nifti import read_volume
from voxlate.preparation import fit_preparation
from voxlate.volume import Volume

OFFSET_HU = 8
"""The largest offset in the training of CT: 0.07 of a window of 120 HU."""

OUT = ROOT / "src" / "voxlate" / "pretrained"
SUMMARY = (
    "T1 after contrast agent to T1 before it, head, with or without skull, slices of up to 8 mm; trained on simulated "
    "heads alone; on nine real pairs {residual:.0f} % of the enhancement is left; for research, not for diagnosis."
)


def widened(run: Path, scans: Iterable[Volume], limits: Sequence[str] = ("shape", "pattern")) -> TrainingStatistics:
    """Returns the statistics of a run's bundle with limits that include every scan."""
    bundle = read_bundle(run / "bundle")
    statistics = bundle.training_statistics
    if statistics is None:
        raise SystemExit("the bundle has no statistics of its training scans")
    normal = dict(statistics.normal)
    for source in scans:
        preparation = fit_preparation(source, None, bundle.recipe.preparation)
        description = describe(preparation.apply(source).data, preparation.mask)
        for name in limits:
            normal[name] = max(normal[name], statistics.distance(description, name))
    return replace(statistics, normal=normal)


def make(
    name: str,
    run: Path,
    evaluation: Path,
    summary: str,
    about: str,
    statistics: TrainingStatistics | None = None,
    before: Path | None = None,
) -> None:
    """Writes a pretrained bundle with float16 weights and a card.

    Args:
        name: of the model.
        run: folder of the training.
        evaluation: folder of the evaluation of its bundle on real pairs.
        summary: first sentence of the card, with `{residual}` for the residual enhancement in per cent, `{mae}` for
            the mean absolute error in the brain and `{constant}` for that of a constant.
        about: paragraph on training and limits.
        statistics: of the training scans; those of the bundle without it.
        before: bundle that the last stage began with, whose loss curves are kept too.
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
    if before is not None:
        documents["history"]["before"] = json.loads((before / "history.json").read_text())
    results = read_evaluation(evaluation).evaluation
    means = {
        (row.protocol, row.region, row.metric, row.method): row.mean
        for row in results.summary
        if row.intensity == AS_WRITTEN
    }
    numbers = {
        "residual": means.get((PROTOCOL, "enhanced", "residual_enhancement", "synthetic")),
        "mae": means["voxlate", "mask", "mae", "synthetic"],
        "constant": means["voxlate", "mask", "mae", "constant"],
    }
    write_measured_card(run / "bundle", evaluation, results)  # the evaluation may be older than the sentences
    measured = (evaluation / "card.md").read_text().split("\n", 1)[1]
    card = f"# {name}\n\n{summary.format(**numbers)}\n\n{about}\n{measured}"
    # Sidecars name the model as users type it, not the recipe and the variants of its last stage.
    recipe = bundle.recipe.model_copy(update={"name": name})
    root = recipe.data.root
    if Path(root).is_absolute():  # a folder of this machine is nobody else's
        relative = Path(root).relative_to(ROOT).as_posix()
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": relative})})
    if recipe.simulated is not None:
        heads = Path(recipe.simulated.heads).name
        recipe = recipe.model_copy(update={"simulated": recipe.simulated.model_copy(update={"heads": heads})})
    write_bundle(OUT / name, recipe, weights, documents=documents, card=card)


def main() -> None:
    pairs = development_data("pairs")
    if pairs is None:
        raise SystemExit("the limits need the development data")
    folders = sorted(path for path in pairs.iterdir() if path.is_dir())
    scans = [read_volume(folder / "t1ce.nii.gz") for folder in folders]
    statistics = widened(RUN, scans)
    make("t1ce-to-t1-simulated", RUN, RUN / "evaluation", SUMMARY, ABOUT, statistics)
    run = SHIPPED / "reference"
    if is_done(run):
        # Eight scans set no statistics: those of the simulated heads, with which the training began, hold on. Their
        # limits include the real scans, also in intensities: the model knows these contrasts.
        statistics = widened(RUN, scans, ("shape", "intensities", "pattern"))
        tuned = SUMMARY_TUNED, ABOUT_TUNED, statistics
        make("t1ce-to-t1", run, FINE_TUNING / "evaluation" / "shipped", *tuned, before=SHIPPED / "shipped" / "bundle")
    for model in MODELS:
        run = FOLDER / model.name
        if model.is_shipped and is_done(run):
            scans = [read_volume(case.source) for case in test_cases(model, pairs)[0]]
            shifted = [scan.with_data(scan.data + hu) for scan in scans for hu in (-OFFSET_HU, 0, OFFSET_HU)]
            limits = widened(run, shifted, ("shape", "intensities", "pattern"))
            limits = replace(limits, target=None)  # these runs are older than `training` leaving it out for CT
            summary = SUMMARY_CT.replace("{target}", read_bundle(run / "bundle").recipe.target)
            make(model.name, run, run / "evaluation", summary, ABOUT_CT, limits)


def is_done(run: Path) -> bool:
    """Returns whether a run has a bundle."""
    return (run / "bundle" / "manifest.json").is_file()


ABOUT = """No real scan was used for training. The heads were simulated from 19 label maps of real heads (Apache-2.0)
with `recipes/t1ce_to_t1_simulated.yaml`, with thick slices by `recipes/t1ce_to_t1_slices.yaml`, and by 6,000 steps of
its variant `drawn`, half of whose windows come from 64 further heads with a new patient, scanner and dose for each
window. Both images of a pair had the same acquisition, so that the model keeps the contrast of its source and removes
the contrast agent only. Slices of 2 to 7 mm and simulated scanners of 1.5 and 3 T are measured in docs/models.md. Not
measured: real scans with a skull and without a brain mask, children. The nine real pairs set the limits of the mask's
shape and of the pattern in the out-of-distribution score; they were not used for training or for choosing weights."""

SUMMARY_TUNED = (
    "T1 after contrast agent to T1 before it, head, with or without skull, slices of up to 8 mm; trained on "
    "simulated heads, then on eight real pairs; on nine real pairs, each translated by a training without it, "
    "{residual:.0f} % of the enhancement is left; for research, not for diagnosis."
)
ABOUT_TUNED = """Two trainings with `recipes/t1ce_to_t1_finetuned.yaml` began with the weights of
`t1ce-to-t1-simulated`: 600 steps with windows of the eight real pairs, and 900 steps with its variant `several_pairs`,
where 10 % of the windows come from 64 simulated heads (label maps under Apache-2.0) and 18 % have simulated
enhancement painted onto the scan without agent of a pair. Of the weights, 40 % are of each training and 20 % are those
of the start: without these, the inside of a large simulated tumour that enhances evenly stayed bright. A third
training, with the variant `reference`, added layers for the contrast of a reference scan (`--like`) and left all other
weights as they were; the table at the end is of this training, and its figures are in docs/models.md.

The pairs are those whose licence lets weights be shared: MS_ljubljana_07 (multiple sclerosis; Lesjak et al. 2017,
CC BY), TCGA-FG-6692 (glioma; TCGA-LGG, CC BY 3.0) and six gliomas of RSNA-ASNR-MICCAI BraTS 2021 (Baid et al. 2021,
doi:10.7937/jc8x-9874, CC BY 4.0), the last two data sets from The Cancer Imaging Archive; other collections of models
share weights trained on BraTS, too. `provenance.json` lists every subject with origin, licence and hashes.

**The figures are not of these weights**, which have seen eight of the nine pairs: they are of three models that were
made in the same way from six pairs, each tested on the other three. The choice among nine settings was made on these
pairs and on simulated heads. Slices of 2 to 7 mm and simulated scanners of 1.5 and 3 T are measured in docs/models.md.
Not measured: real scans with a skull and without a brain mask, children. The nine real pairs set the limits of the
out-of-distribution score."""

SUMMARY_CT = (
    "CT of the head to {target}, brain only, slices of up to 8 mm; trained on simulated heads alone; a demonstration: "
    "on simulated heads that it never saw the error in the brain is {mae:.1f} % of the range, that of a constant "
    "{constant:.1f} %; not for diagnosis, nor for measurements."
)
ABOUT_CT = """The heads of training and test were simulated from label maps of real heads (Apache-2.0) with
`recipes/ct_to_mr_simulated.yaml`. Three maps were kept for the test; half of the test heads come from a scanner that
training never saw. A second stage had offsets of up to 8 HU and more noise. In the simulation CT does not show the
texture of T1 and T2 within a tissue, and plaques are hardly visible; what a real CT shows of them is unknown to this
model. **No figure of a real scan is known**: no real pair of CT and MR was at hand."""

if __name__ == "__main__":
    main()
