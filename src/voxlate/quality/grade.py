"""Grades one scan by the quality rules (layer A) and the quality network (layer B)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from voxlate.errors import InputRefused
from voxlate.quality.classifier import ClassifierInput, classifier_input
from voxlate.quality.head_mask import Head
from voxlate.quality.rules import RULES, VERSION, Finding, apply_rules, is_hounsfield, worst_verdict
from voxlate.quality.tiers import GRADED, SURE, answer, tier_probabilities
from voxlate.volume import Volume

if TYPE_CHECKING:
    from voxlate.models.scan_grader import ScanGrader

MIN_LEVELS = next(int(rule.fail) for rule in RULES if rule.code == "LEVELS_FEW")
"""Least number of different values of a scan; fewer whole numbers are a mask or a label map."""

PASSES = 0.5
"""Least probability of a proper T1w of good or medium quality with which a scan passes: more likely than not."""


Cell = str | float | bool
"""Value of one column of a table."""


class GradingJson(TypedDict):
    """A grading in JSON; see `Grading`. `pixels` has the answers by the pixels alone."""

    limits_version: str
    findings: list[dict[str, object]]
    kinds: dict[str, float]
    proper: float
    agent: float
    grades: dict[str, list[float]]
    tiers: dict[str, float]
    pixels: dict[str, str]


@dataclass(frozen=True)
class Grading:
    """Grading of one scan.

    Attributes:
        findings: of the quality rules.
        kinds: probability of each image contrast.
        proper: probability of a T1w of a whole head.
        agent: probability of a contrast agent, given that the scan is a T1w.
        grades: probabilities of the grades 0, 1 and 2 of contrast, motion and noise, given a proper T1w.
        is_ct: whether the scan is in Hounsfield units; its contrast is then CT, not the answer of the network.
    """

    findings: tuple[Finding, ...]
    kinds: Mapping[str, float]
    proper: float
    agent: float
    grades: Mapping[str, Sequence[float]] = field(default_factory=dict)
    is_ct: bool = False

    @property
    def verdict(self) -> str:
        """Returns the worst verdict of the quality rules: `fail`, `warn` or `pass`."""
        return worst_verdict(self.findings)

    @property
    def kind(self) -> str:
        """Returns the image contrast by the pixels, or `unknown`."""
        return "CT" if self.is_ct else answer(self.kinds)

    @property
    def agent_evidence(self) -> float:
        """Returns the probability of a contrast agent as evidence: at least 0.5 for a skull-stripped brain.

        Skull stripping removes the venous sinuses, the best sign of an agent; without them nothing supports "no".
        """
        return max(self.agent, 0.5) if "SKULL_STRIPPED" in self.codes("note") else self.agent

    @property
    def agent_state(self) -> str:
        """Returns the contrast-agent status by the pixels: `yes` or `no` with probability `SURE`, else `unknown`."""
        evidence = self.agent_evidence
        return "unknown" if self.kind != "T1w" else answer({"yes": evidence, "no": 1 - evidence})

    @property
    def tiers(self) -> dict[str, float]:
        """Returns the probability of each tier."""
        return tier_probabilities(self.grades)

    @property
    def tier(self) -> str:
        """Returns the likeliest tier of a proper T1w, `improper` for another scan, `unknown` when neither is likely.

        A scan that failed a quality rule is `low`; the network cannot overrule this.
        """
        if self.proper < 1 - SURE or self.kind not in ("T1w", "unknown"):
            return "improper"
        if self.verdict == "fail":
            return "low"
        return max(self.tiers, key=lambda name: self.tiers[name]) if self.proper >= SURE else "unknown"

    def row(self) -> dict[str, Cell]:
        """Returns the columns of `GradeRow` that follow from the pixels, and the measured value of each rule.

        Probabilities have four digits.
        """
        likely = 0.0 if self.is_ct else self.proper * (1 - self.tiers["low"])
        row: dict[str, Cell] = {
            "pass": self.verdict != "fail" and likely >= PASSES,
            "pass_probability": round(likely, 4),
        }
        row |= {"verdict": self.verdict, "tier": self.tier}
        row |= {"kind": self.kind, "agent": self.agent_state, "proper_probability": round(self.proper, 4)}
        row |= {"agent_probability": round(self.agent, 4)}
        row |= {f"{tier}_probability": round(value, 4) for tier, value in self.tiers.items()}
        row |= {f"grade_{name}": self.grades[name].index(max(self.grades[name])) for name in GRADED}
        row |= {each.code.lower(): each.value for each in self.findings}
        return row | {"failed": ",".join(self.codes("fail")), "warned": ",".join(self.codes("warn")),
                       "noted": ",".join(self.codes("note"))}  # fmt: skip

    def codes(self, verdict: str) -> list[str]:
        """Returns the codes of the findings of one verdict."""
        return [each.code for each in self.findings if each.verdict == verdict]

    def to_json(self) -> GradingJson:
        """Returns the whole grading with the version of the limits."""
        return {
            "limits_version": VERSION,
            "findings": [vars(finding) for finding in self.findings],
            "kinds": dict(self.kinds),
            "proper": self.proper,
            "agent": self.agent,
            "grades": {name: list(values) for name, values in self.grades.items()},
            "tiers": self.tiers,
            "pixels": {"verdict": self.verdict, "tier": self.tier, "kind": self.kind, "agent": self.agent_state},
        }


def grade(volume: Volume, network: ScanGrader | None = None, *, head: Head | None = None) -> Grading:
    """Returns the grading of one scan; it does not depend on the number of threads.

    Args:
        volume: the scan, of any orientation.
        network: the quality network; the one that comes with voxlate when not given.
        head: of the scan, when it was found before.

    Raises:
        InputRefused: `NO_SCAN`, see `require_scan`; see also `find_head`.
    """
    require_scan(volume)
    given = classifier_input(volume, head)
    return grading_of(given, _predict(given, network or _network()))


def require_scan(volume: Volume) -> None:
    """Refuses a mask or a label map.

    Raises:
        InputRefused: `NO_SCAN` when all values are whole numbers and fewer than `MIN_LEVELS` of them differ.
    """
    levels = np.unique(volume.data)
    if levels.size < MIN_LEVELS and bool((levels == np.rint(levels)).all()):
        raise InputRefused(
            "NO_SCAN",
            f"the image has only {levels.size} different values, all whole numbers, as a mask or a label map has",
        )


def grading_of(given: ClassifierInput, probabilities: Mapping[str, Sequence[float]]) -> Grading:
    """Returns the grading from measures and the answers of the network.

    Args:
        given: input of the network, with the measures.
        probabilities: of the classes of each head of the network, by name of the head.
    """
    from voxlate.models.scan_grader import CONTRASTS

    return Grading(
        apply_rules(given.measures),
        dict(zip(CONTRASTS, probabilities["contrast_kind"], strict=True)),
        float(probabilities["proper"][1]),
        float(probabilities["agent"][1]),
        {name: tuple(probabilities[name]) for name in GRADED},
        is_hounsfield(given.measures),
    )


def _predict(given: ClassifierInput, network: ScanGrader) -> dict[str, list[float]]:
    """Returns the softmax probabilities of each head."""
    import torch

    with torch.no_grad():
        logits = network(torch.from_numpy(given.image)[None, None], torch.from_numpy(given.numbers)[None])
        return {name: torch.softmax(values[0].double(), 0).tolist() for name, values in logits.items()}


@lru_cache(maxsize=1)
def _network() -> ScanGrader:
    from voxlate.models.scan_grader import scan_grader

    return scan_grader()
