"""Writes `provenance.json` into each pretrained model: every training subject with its origin and licence.

    python benchmarks/make_pretrained.py
    python benchmarks/provenance.py

Each stage of a training is listed with its recipe, variants, steps and seed, the model that it started from, and its
subjects: real pairs with the SHA-256 of their images, and simulated heads with the seed and the label map that
`voxlate simulate` made them from. The test `tests/bundle/test_provenance.py` compares the list with the recipe of the
bundle, and trains the first 20 steps of `t1ce-to-t1` again where the data are. The development data are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_fine_tuning import AVERAGED, BASE, KEPT, LICENSED, TRAININGS
from bench_simulated_models import MODELS, TRAIN_HEADS
from bench_simulated_models import SEED as CT_SEED
from bench_simulated_training import HEADS, SEED, STAGES
from machine import ROOT, development_data, pair_cases
from simulated_heads import EXCLUDED, MAP_SEED, N_TISSUE_MAPS, TEST_MAPS, is_validation, label_maps

from voxlate.bundle.bundle import add_to_bundle, read_bundle, remove_from_bundle
from voxlate.bundle.pretrained import find_bundle
from voxlate.bundle.recipe import read_recipe
from voxlate.io.atomic import sha256, write_json
from voxlate.simulation.anatomy.label_map import LabelMaps

FILE = "provenance.json"
LABEL_MAPS = {
    "origin": "label maps of real heads of SynthSeg (Billot et al. 2023), training_label_maps",
    "licence": "Apache-2.0",
}


@dataclass(frozen=True)
class Origin:
    """Where a real pair comes from.

    Attributes:
        data_set: name of the data set with its paper or DOI.
        licence: of the data set.
    """

    data_set: str
    licence: str


_BRATS = Origin("RSNA-ASNR-MICCAI BraTS 2021, Cancer Imaging Archive, doi:10.7937/jc8x-9874", "CC BY 4.0")
ORIGINS = dict.fromkeys((name for name in LICENSED if name.startswith("BraTS")), _BRATS) | {
    "MS_ljubljana_07": Origin(
        "Ljubljana MS lesion data set, Lesjak et al. 2017, doi:10.1007/s12021-017-9348-7", "CC BY"
    ),
    "TCGA-FG-6692_sri24": Origin(
        "TCGA-LGG, The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2016.L4LTD3TK", "CC BY 3.0"
    ),
}
"""Data set of each real pair that a shipped model was trained on."""


def real_subjects(pairs: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns origin, licence and hashes of real pairs of T1 with and without agent."""
    cases = {case.case: case for case in pair_cases(pairs)}
    return [
        {
            "subject": name,
            "kind": "real",
            "origin": ORIGINS[name].data_set,
            "licence": ORIGINS[name].licence,
            "sha256": {"T1ce": sha256(cases[name].source), "T1w": sha256(cases[name].target)},
        }
        for name in sorted(names)
    ]


def simulated_subjects(maps: LabelMaps, seed: int, count: int) -> list[dict[str, Any]]:
    """Returns origin, licence, seed and label map of the heads of a simulated data set."""
    subjects = []
    for number in range(count):
        path, digest = maps.file_of(seed, number)
        about = {"seed": seed, "number": number, "label_map": path.name, "label_map_sha256": digest}
        split = "validation" if is_validation(number) else "train"
        subjects.append({"subject": f"sub-{number + 1:04d}", "kind": "simulated", "split": split} | LABEL_MAPS | about)
    return subjects


def stage(recipe: str, variants: Sequence[str], changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns recipe, variants, steps and seed of a stage."""
    path = ROOT / "recipes" / f"{recipe}.yaml"
    resolved = read_recipe(path, variants=variants, overrides=changes)
    return {
        "recipe": recipe,
        "variants": list(variants),
        "changes": dict(changes or {}),
        "steps": resolved.steps,
        "seed": resolved.training.seed,
    }


@dataclass(frozen=True)
class Data:
    """The development data that subjects are read from.

    Attributes:
        pairs: folder of the real pairs.
        all_maps: label maps but the one that is refused.
        training_maps: those without the maps of test heads as well.
    """

    pairs: Path
    all_maps: LabelMaps
    training_maps: LabelMaps

    def drawn(self) -> list[dict[str, Any]]:
        """Returns the heads of which windows are drawn during training; none of them is for validation."""
        found = simulated_subjects(self.training_maps, MAP_SEED, N_TISSUE_MAPS)
        return [subject | {"split": "train"} for subject in found]


def simulated_model(data: Data) -> dict[str, Any]:
    """Returns the provenance of the model that removes contrast agent and was trained on simulated heads alone."""
    stages = [
        stage(each.recipe, each.variants, each.changes) | {"data": ["heads", "drawn"] if each.variants else ["heads"]}
        for each in STAGES
    ]
    return {"stages": stages, "data": {"heads": simulated_subjects(data.all_maps, SEED, HEADS), "drawn": data.drawn()}}


def fine_tuned_model(data: Data) -> dict[str, Any]:
    """Returns the provenance of the model that was fine-tuned on real pairs."""
    base = {"model": BASE, "weights_sha256": read_bundle(find_bundle(BASE)).weights_sha256}
    stages = []
    for training in (TRAININGS[name] for name in AVERAGED):
        used = ["pairs", "drawn"] if training.variants else ["pairs"]
        stages.append(stage("t1ce_to_t1_finetuned", training.variants) | {"starts_from": base, "data": used})
    reference = stage("t1ce_to_t1_finetuned", ("reference",)) | {"data": ["pairs", "drawn"]}
    stages.append(reference | {"continues": "the weights below, which stay; layers for a reference are added"})
    subjects = {"pairs": real_subjects(data.pairs, LICENSED), "drawn": data.drawn()}
    return {
        "weights": f"{1 - KEPT:g} x the mean of the first two stages + {KEPT:g} x the weights that they started from, "
        "and the layers for a reference of the third",
        "stages": stages,
        "data": subjects,
    }


def model_of_ct(data: Data, name: str) -> dict[str, Any]:
    """Returns the provenance of a model that makes MR of CT."""
    by_name, stages = {model.name: model for model in MODELS}, list[dict[str, Any]]()
    following: str | None = name
    while following is not None:
        model = by_name[following]
        stages.insert(0, stage(model.recipe, model.variants) | {"data": ["heads"]})
        following = model.start
    heads = simulated_subjects(data.training_maps, CT_SEED, TRAIN_HEADS["ct_to_mr"])
    return {"stages": stages, "data": {"heads": heads}}


def main() -> None:
    pairs, maps = development_data("pairs"), development_data("anatomies")
    if pairs is None or maps is None:
        raise SystemExit("the list of subjects needs the development data")
    left_out = (EXCLUDED, *TEST_MAPS)
    folder = ROOT / "runs"
    data = Data(pairs, label_maps(maps, folder / "maps"), label_maps(maps, folder / "maps_train", left_out))
    contents = {BASE: simulated_model(data), "t1ce-to-t1": fine_tuned_model(data)}
    contents |= {name: model_of_ct(data, name) for name in ("ct-to-t1", "ct-to-t2")}
    for name, content in contents.items():
        bundle = find_bundle(name)
        remove_from_bundle(bundle, [FILE])
        write_json(bundle / FILE, {"weights_sha256": read_bundle(bundle).weights_sha256} | content)
        add_to_bundle(bundle, [FILE])


if __name__ == "__main__":
    main()
