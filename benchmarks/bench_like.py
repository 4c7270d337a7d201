"""`--like`: whose scan is a reference that brings a synthetic T1 nearer to the T1 of that sequence?

    python benchmarks/bench_like.py

Compared are an increasing intensity curve after the network (`curve`), layers of the network for a reference
(`network`), and what `voxlate translate --like` does with such layers, half of the curve after them (`both`).
Simulated heads: T1ce of two scanners is translated by `t1ce-to-t1`; the truth is the T1 of the same patient on a third
scanner. The reference is the T1 of another visit of the patient to that scanner, or of another patient. Real pairs
(with the development data), each translated by a training of `bench_fine_tuning.py` that has not seen it: the reference
is the target itself, which is the best that can be, or the T1 of each other pair. Half an hour on one core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from bench_fine_tuning import bundle_without
from machine import development_data, pair_cases, write_result

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.contrast_descriptor import ContrastDescriptor
from voxlate.bundle.pretrained import load_bundle
from voxlate.evaluation.enhancement import AgentDirection, EnhancementMeasure
from voxlate.inference.like import curve
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.nifti import read_volume
from voxlate.preparation.masks.skull_stripped import nonzero_mask
from voxlate.simulation.subject import Options as SubjectOptions
from voxlate.simulation.subject import Subject, simulate_subject
from voxlate.volume import Array, Mask, Volume

SOURCES, REFERENCE = ("B", "E"), "A"
PATIENTS, SEED = 4, 61


def error(image: Array, target: Array, mask: Mask) -> float:
    """Returns the mean absolute error in the brain in % of the target's 99.5th percentile, both in units of medians."""
    ours, theirs = image[mask] / np.median(image[mask]), target[mask] / np.median(target[mask])
    return float(100 * np.abs(ours - theirs).mean() / np.quantile(theirs, 0.995))


@dataclass(frozen=True)
class Scan:
    """A source with the model that translates it and its truth.

    Attributes:
        bundle: whose network takes a reference.
        source: on its own grid.
        mask: brain mask for the translation; None to find it.
        target: truth.
        inside: where errors are measured.
    """

    bundle: Bundle
    source: Volume
    mask: Volume | None
    target: Array
    inside: Mask

    def translated(self, like: ContrastDescriptor | None = None) -> Array:
        """Returns the translation, with or without a reference."""
        options = Options(gate="flag", like=like)
        return translate_volume(self.bundle, self.source, self.mask, options=options).volume.data

    def by_network(self, like: ContrastDescriptor) -> Array:
        """Returns the translation with a reference without the curve after the network."""
        with patch("voxlate.inference.like.SHARE_AFTER_NETWORK", 0.0):
            return self.translated(like)

    def error(self, image: Array) -> float:
        """Returns the error of an image of this scan; see `error`."""
        return error(image, self.target, self.inside)

    def errors(self, plain: Array, references: Mapping[str, Sequence[ContrastDescriptor]]) -> dict[str, float]:
        """Returns the mean error over the references of each name, by each way."""
        ways = {
            "both": self.translated,
            "network": self.by_network,
            "curve": lambda like: curve(plain, self.inside, like)[0],
        }
        return {
            f"{way}_{name}": float(np.mean([self.error(translate(each)) for each in contrasts]))
            for name, contrasts in references.items()
            for way, translate in ways.items()
        }


def simulated() -> list[dict[str, Any]]:
    """Returns the errors of the simulated patients, by scanner of the source."""
    bundle, rows = load_bundle("t1ce-to-t1"), []
    options = SubjectOptions(is_same_acquisition=True)

    def patient(number: int, scanner: str, visit: int = 0) -> Subject:
        return simulate_subject(
            "t1ce_t1", seed=SEED, subject=number, session=visit, size="full", scanner=scanner, options=options
        )

    def contrast(subject: Subject) -> ContrastDescriptor:
        return ContrastDescriptor.of(subject.images["T1w"].data, subject.truth.brain_mask.data > 0)

    stranger = contrast(patient(PATIENTS, REFERENCE))
    for number in range(PATIENTS):
        truth = patient(number, REFERENCE)
        mask = truth.truth.brain_mask.data > 0
        visit = contrast(patient(number, REFERENCE, visit=1))
        for scanner in SOURCES:
            source = patient(number, scanner).images["T1ce"]
            brain = source.with_data(mask.astype(np.float32))
            scan = Scan(bundle, source, brain, truth.images["T1w"].data, mask)
            plain = scan.translated()
            row = {"patient": number, "scanner": scanner}
            row |= {"source": scan.error(source.data), "synthetic": scan.error(plain)}
            references = {"visit": [visit], "others": [stranger], "target": [contrast(truth)]}
            rows.append(row | scan.errors(plain, references))
    return rows


def real() -> list[dict[str, Any]]:
    """Returns the errors of the real pairs, and what is left of their enhancement; nothing without the data."""
    pairs = development_data("pairs")
    if pairs is None:
        return []
    scans, rows = {}, []
    for case in pair_cases(pairs):
        bundle = load_bundle(bundle_without(case.case, "reference"))
        source, target = read_volume(case.source), read_volume(case.target)
        inside = nonzero_mask(source.data) & nonzero_mask(target.data)
        scans[case.case] = Scan(bundle, source, None, target.data, inside)
    contrasts = {name: ContrastDescriptor.of(scan.target, scan.inside) for name, scan in scans.items()}
    for name, scan in scans.items():
        plain = scan.translated()
        others = [contrast for other, contrast in contrasts.items() if other != name]
        row: dict[str, Any] = {"case": name, "synthetic": scan.error(plain)}
        row |= scan.errors(plain, {"others": others, "target": [contrasts[name]]})
        measure = EnhancementMeasure(
            scan.source.data,
            scan.target,
            scan.inside,
            spacing_mm=scan.source.spacing_mm,
            direction=AgentDirection(1),
        )
        images = {"synthetic": plain, "both_target": scan.translated(contrasts[name])}
        row["agent"] = {
            way: {score.metric: score.value for score in measure.scores(image) if score.region in ("enhanced", "mask")}
            for way, image in images.items()
        }
        rows.append(row)
    return rows


def main() -> None:
    write_result("like", {"reference": REFERENCE, "simulated": simulated(), "real": real()})


if __name__ == "__main__":
    main()
