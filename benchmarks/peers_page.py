"""Writes `docs/comparison.md` from `benchmarks/results/peers.json`.

    python benchmarks/peers_page.py [--check]

With --check nothing is written, and the exit status is 1 if the page differs from the results.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULT, PAGE = ROOT / "benchmarks" / "results" / "peers.json", ROOT / "docs" / "comparison.md"
AGENT = ("residual enhancement", "less than half removed", "disturbance")
IMAGE = ("mae", "psnr", "ssim")
PLACES = ("mae lesion", "mae rim")
HEADS = {
    "residual enhancement": "residual enhancement, %",
    "less than half removed": "less than half removed, %",
    "disturbance": "disturbance, %",
    "mae": "MAE, %",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "mae lesion": "MAE in lesions, %",
    "mae rim": "MAE in their rim, %",
}
ADDED = {"residual enhancement": "missing enhancement, %", "less than half removed": "less than half added, %"}
DIGITS = {"psnr": 2, "ssim": 3, "mae": 2, "mae lesion": 2, "mae rim": 2}

ABOUT = """\
Every system was trained for about as many processor seconds as the heading says, on one thread, and applied to
subjects that it had not seen; each subject is tested once, in three folds. The tables state the seconds that each
fold took: voxlate fixes its steps after a trial and may miss the budget, the others stop at it. Reading and
preparation are not counted. One scorer, written with scikit-image apart from `voxlate evaluate`, scored all images in
the brain, in units of the target's median. Means over subjects; 95 % intervals in brackets. A system that the command
trains and no table shows was not run in all folds.

- Residual enhancement: what is left of the contrast agent's enhancement; 100 is the untouched source, 0 the target.
- Missing enhancement, where the agent is added: 100 is the untouched source, 0 the target.
- Disturbance: the error elsewhere, in % of that of the source ([definitions](concepts/residual-enhancement.md)).
- MAE, PSNR and SSIM in the whole brain saturate on real pairs: an intensity curve that knows the target reaches what
  every network reaches, because the second sequence, its noise and its registration make most of the error.
- A blurred target knows the target; it shows what resolution alone costs.
- The systems of voxlate stand in bold. The one that starts from the shipped model (`t1ce-to-t1-simulated`, which has
  seen no real scan) has the training of that model for free, and is counted apart.
- *voxlate, 40 % of the shipped weights kept* is the same training; `training.start_share: 0.4` keeps weights between
  those of the shipped model and those after training. The share is the best of five on these nine pairs, so its row
  is a result of development.
- *voxlate, from the shipped model, several_pairs* is the variant that the guide advises for six pairs and more: larger
  windows, and 28 % of them with simulated heads or simulated enhancement, whose simulation is not counted either.

What these tables show:

- **T1 with agent to T1 without, 300 s: voxlate from the shipped model has the smallest error in the brain and leaves
  the least enhancement.** Against MONAI's U-Net and nnU-Net's residual encoder one of these differences is beyond
  chance: voxels less than half removed. In lesions KonfAI's network and the residual encoder have the smallest mean
  errors, not beyond chance; a constant has a smaller one still. KonfAI's network and pix2pix are behind in the brain
  and in enhancement. voxlate without the shipped weights has means like those of MONAI's U-Net and of the residual
  encoder, which takes minutes to translate a head on two cores.
- **With the variant `several_pairs` it is beyond chance against every peer in three figures:** voxels less than half
  removed, and MAE and PSNR after the best line. As written, its error in the brain is not told from that of MONAI's
  U-Net and of the residual encoder, and in lesions it is no smaller than theirs.
- **The same, 1,800 s: no figure distinguishes it from MONAI's U-Net.** MONAI learns on. voxlate takes more than 7,000
  steps on six pairs; its mean error in the brain is larger than after 300 s. With 40 % of the shipped weights kept it
  is not, but nine pairs do not show that beyond chance
  ([table](how-to/training.md#training-a-bundle-further)).
- **CT to T1: voxlate has the higher PSNR, MONAI's U-Net the higher SSIM**, both beyond chance; after the best line
  their mean errors are alike. pix2pix is behind in all.
- **CT to T2: voxlate has the smaller MAE** (p = .023); PSNR and SSIM cannot be told from MONAI's, whose mean PSNR
  after the best line is higher. pix2pix is behind in all. KonfAI's network and the residual encoder were not run from
  CT.

What a peer would say:

- **The budget is small.** Minutes on one thread, a few hundred steps. The peers' settings are those of examples and
  papers, made for hours on a graphics card. None was tuned for the budget or for these data.
- **voxlate was developed on these nine pairs**, and its recipes were chosen by figures of these folds; the simulated
  heads come from voxlate's own simulator.
- **voxlate's loss is made for the agent**: its windows lie more often on voxels that the agent changes, whose errors
  count more, and contrast is augmented. The peers have L1 of all voxels (pix2pix also its discriminator) and flips at
  most. The measure of the agent was defined for voxlate.
- **voxlate predicts in the unit of the scores.** Peers predict z-scores or a range, which mean and deviation of the
  training targets turn into that unit. The tables after the best line do not depend on this.
- MONAI U-Net gets heads with skull masked (`MaskIntensityd`), since its z-scores are of all voxels that are not zero.
- KonfAI U-Net is the network of its synthesis example, 26 million parameters for slices, made for many pairs; without
  the perceptual loss, whose network would have to be downloaded.
- MONAI copies the cached volumes for each batch by default, which counts.
- nnU-Net residual encoder is nnU-Net's network, optimiser and schedule, without its planning, deep supervision and
  augmentation. pix2pix has no random jitter, and clips what is brighter than the 99.5th percentile.
- One training for each fold, with one seed: intervals and p hold the differences between subjects, not those between
  trainings. p is corrected over the peers of a metric, not over metrics, tasks or the systems of voxlate.
"""
"""What stands above the tables."""


def recorded_tasks() -> dict[str, Any]:
    """Returns the recorded tasks by key; one task may stand there with several numbers of seconds."""
    if not RESULT.is_file():
        return {}
    tasks: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))["tasks"]
    return tasks


def write_page() -> None:
    """Writes the page, if there are results."""
    if RESULT.is_file():
        PAGE.write_text(_text(), encoding="utf-8")


def _text() -> str:
    return "\n".join(_lines(json.loads(RESULT.read_text(encoding="utf-8")))) + "\n"


def _lines(content: dict[str, Any]) -> Iterator[str]:
    yield "# Comparison with peers at equal cost"
    yield ""
    yield "<!-- generated by benchmarks/peers_page.py from benchmarks/results/peers.json -->"
    yield ""
    yield "```sh"
    for seconds in sorted({task["seconds"] for task in content["tasks"].values()}, reverse=True):
        tasks = [f"--task {task['task']}" for task in content["tasks"].values() if task["seconds"] == seconds]
        yield f"python benchmarks/peers/run.py --seconds {seconds:.0f} {' '.join(tasks)}"
    yield "```"
    yield ""
    yield from ABOUT.splitlines()
    for task in content["tasks"].values():
        yield ""
        yield from _task(task)


def _task(task: dict[str, Any]) -> Iterator[str]:
    yield f"## {task['title']}: {task['seconds']:,.0f} s"
    machine = "Machine: {cores} cores of {processor}, torch {torch}, commit {commit}."
    yield machine.format(**task["machine"])
    yield ""
    groups = [(AGENT, ""), (IMAGE, ""), (PLACES, ""), ((*IMAGE, *PLACES), " after the line")]
    for metrics, suffix in groups:
        shown = [metric for metric in metrics if any(metric + suffix in row for row in task["summary"].values())]
        if not shown:
            continue
        if suffix:
            yield "After the best line of each subject, which knows the target:"
            yield ""
        yield "| system | " + " | ".join(_head(metric, task["agent"]) for metric in shown) + " |"
        yield "|---" * (len(shown) + 1) + "|"
        for name, row in task["summary"].items():
            cells = [_cell(row.get(metric + suffix), DIGITS.get(metric, 0)) for metric in shown]
            if any(cells):
                yield f"| {_name(name)} | " + " | ".join(cells) + " |"
        yield ""
    yield "| system | steps | processor seconds | parameters |"
    yield "|---|---|---|---|"
    for name, records in task["records"].items():
        if records:
            steps = ", ".join(f"{record['steps']:,}" for record in records)
            seconds = ", ".join(f"{record['seconds']:.0f}" for record in records)
            yield f"| {_name(name)} | {steps} | {seconds} | {records[0]['parameters']:,} |"
    missing = [name for name, records in task["records"].items() if not records]
    if missing:
        yield ""
        yield f"Not run for this task: {', '.join(missing)}."
    yield ""
    yield from _tests(task["tests"], task["agent"])


def _head(metric: str, agent: int) -> str:
    """Returns the heading of a metric; `agent` is below 0 where the agent is added."""
    return ADDED.get(metric, HEADS[metric]) if agent < 0 else HEADS[metric]


def _tests(rows: list[dict[str, Any]], agent: int) -> Iterator[str]:
    shown = [row for row in rows if " after" not in row["metric"]]
    if not shown:
        return
    yield "Paired sign-flip tests over subjects; p by Holm over the peers of a metric:"
    yield ""
    yield "| system | peer | metric | n | difference | p | p, Holm |"
    yield "|---|---|---|---|---|---|---|"
    for row in shown:
        digits = max(DIGITS.get(row["metric"], 1), 1)
        cells = (row["system"], row["peer"], _head(row["metric"], agent), row["n"], f"{row['difference']:+.{digits}f}")
        yield "| " + " | ".join(map(str, cells)) + f" | {row['p']:.3f} | {row['p_holm']:.3f} |"


def _cell(row: dict[str, Any] | None, digits: int) -> str:
    if row is None:
        return ""
    text = f"{row['mean']:.{digits}f}"
    return text if row["low"] is None else f"{text} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def _name(name: str) -> str:
    return f"**{name}**" if name.startswith("voxlate") else name


def main() -> int:
    if "--check" not in sys.argv[1:]:
        write_page()
        return 0
    if RESULT.is_file() and (not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != _text()):
        print(f"{PAGE.name}: differs from the results; run python benchmarks/peers_page.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
