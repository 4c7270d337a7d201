"""One scan graded: layer A's findings, layer B's probabilities, and what the two come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from voxlate.errors import InputRefused
from voxlate.quality.classifier import ClassifierInput, classifier_input
from voxlate.quality.head_mask import Head
from voxlate.quality.rules import RULES, VERSION, Finding, apply_rules, is_hounsfield, worst_verdict
from voxlate.quality.tiers import GRADED, SURE, answer, tier_probabilities
from voxlate.volume import Volume

if TYPE_CHECKING:
    from voxlate.models.scan_grader import ScanGrader

FEWEST_LEVELS = next(int(rule.fail) for rule in RULES if rule.code == "LEVELS_FEW")

PASSES = 0.5
"""A scan passes when no rule failed and it is at least this probably a proper T1w of no low quality."""


@dataclass(frozen=True)
class Grading:
    """What is known of one scan.

    Attributes:
        findings: of layer A.
        kinds: probability of each contrast.
        proper: probability that it is a T1w of a whole head.
        agent: probability that it was taken after gadolinium, were it a T1w.
        is_ct: whether it is in Hounsfield units, which no network need tell.
        grades: for contrast, motion and noise the probabilities of 0, 1 and 2, were it a proper T1w.
    """

    findings: tuple[Finding, ...]
    kinds: Mapping[str, float]
    proper: float
    agent: float
    grades: Mapping[str, Sequence[float]] = field(default_factory=dict)
    is_ct: bool = False

    @property
    def verdict(self) -> str:
        """Returns `fail`, `warn` or `pass` of layer A."""
        return worst_verdict(self.findings)

    @property
    def kind(self) -> str:
        """Returns the contrast that the pixels show, or `unknown`."""
        return "CT" if self.is_ct else answer(self.kinds)

    @property
    def agent_evidence(self) -> float:
        """Returns the probability of an agent as far as it may count.

        A skull-stripped brain has lost the sinuses, which tell best: that nothing enhances in it proves nothing.
        """
        return max(self.agent, 0.5) if "SKULL_STRIPPED" in self.codes("note") else self.agent

    @property
    def agent_state(self) -> str:
        """Returns `yes` or `no` when the pixels are sure, else `unknown`."""
        evidence = self.agent_evidence
        return "unknown" if self.kind != "T1w" else answer({"yes": evidence, "no": 1 - evidence})

    @property
    def tiers(self) -> dict[str, float]:
        """Returns the probabilities of good, medium and low."""
        return tier_probabilities(self.grades)

    @property
    def tier(self) -> str:
        """Returns the likeliest tier of a proper T1w; `improper` for what is surely none, `unknown` in between.

        Layer A is never overruled: what failed a rule is no better than low.
        """
        if self.proper < 1 - SURE or self.kind not in ("T1w", "unknown"):
            return "improper"
        if self.verdict == "fail":
            return "low"
        return max(self.tiers, key=lambda name: self.tiers[name]) if self.proper >= SURE else "unknown"

    def row(self) -> dict[str, Any]:
        """Returns it as one row of a table; probabilities with four digits."""
        likely = 0.0 if self.is_ct else self.proper * (1 - self.tiers["low"])
        told: dict[str, Any] = {
            "pass": self.verdict != "fail" and likely >= PASSES,
            "pass_probability": round(likely, 4),
        }
        told |= {"verdict": self.verdict, "tier": self.tier}
        told |= {"kind": self.kind, "agent": self.agent_state, "proper_probability": round(self.proper, 4)}
        told |= {"agent_probability": round(self.agent, 4)}
        told |= {f"{tier}_probability": round(value, 4) for tier, value in self.tiers.items()}
        told |= {f"grade_{name}": self.grades[name].index(max(self.grades[name])) for name in GRADED}
        told |= {each.code.lower(): each.value for each in self.findings}
        return told | {"failed": ",".join(self.codes("fail")), "warned": ",".join(self.codes("warn")),
                       "noted": ",".join(self.codes("note"))}  # fmt: skip

    def codes(self, verdict: str) -> list[str]:
        """Returns the codes of the findings of one verdict."""
        return [each.code for each in self.findings if each.verdict == verdict]

    def to_json(self) -> dict[str, Any]:
        """Returns all of it, with the limits that it was judged by."""
        return {
            "limits_version": VERSION,
            "findings": [vars(each) for each in self.findings],
            "kinds": dict(self.kinds),
            "proper": self.proper,
            "agent": self.agent,
            "grades": {name: list(values) for name, values in self.grades.items()},
            "tiers": self.tiers,
            "pixels": {"verdict": self.verdict, "tier": self.tier, "kind": self.kind, "agent": self.agent_state},
        }


def grade(volume: Volume, network: ScanGrader | None = None, *, head: Head | None = None) -> Grading:
    """Returns the grading of one scan, on one processor thread as on many.

    Args:
        volume: the scan, of any orientation.
        network: the learned heads; those that come with voxlate when not given.
        head: of the scan, when it was found before.

    Raises:
        InputRefused: `NO_SCAN`, see `require_scan`.
    """
    require_scan(volume)
    shown = classifier_input(volume, head)
    return graded(shown, _answers(shown, network or _network()))


def require_scan(volume: Volume) -> None:
    """Refuses a mask or a label map: whole numbers, of which there are fewer than a scan has.

    Raises:
        InputRefused: `NO_SCAN`.
    """
    levels = np.unique(volume.data)
    if levels.size < FEWEST_LEVELS and bool((levels == np.rint(levels)).all()):
        raise InputRefused("NO_SCAN", f"it holds {levels.size} whole numbers, as a mask or a label map does")


def graded(shown: ClassifierInput, answers: Mapping[str, Sequence[float]]) -> Grading:
    """Returns the grading from what was seen and the probabilities of each head."""
    from voxlate.models.scan_grader import CONTRASTS

    return Grading(
        apply_rules(shown.measures),
        dict(zip(CONTRASTS, answers["contrast_kind"], strict=True)),
        float(answers["proper"][1]),
        float(answers["agent"][1]),
        {name: tuple(answers[name]) for name in GRADED},
        is_hounsfield(shown.measures),
    )


def _answers(shown: ClassifierInput, network: ScanGrader) -> dict[str, list[float]]:
    import torch

    with torch.no_grad():
        logits = network(torch.from_numpy(shown.image)[None, None], torch.from_numpy(shown.numbers)[None])
        return {name: torch.softmax(values[0].double(), 0).tolist() for name, values in logits.items()}


@lru_cache(maxsize=1)
def _network() -> ScanGrader:
    from voxlate.models.scan_grader import scan_grader

    return scan_grader()
