"""One case of 1 mm evaluated: processor seconds, peak memory, and the share of each part.

    python benchmarks/bench_evaluate_case.py [NAME]      NAME of the record in the result, `now` when left out

The case is a simulated head of 240 x 240 x 155 voxels without its skull, with a lesion, from `cost_inputs.py`; it is
evaluated by the command line, default options, without a model. `command_cost.py` measures the command in a process of
its own on one thread, the fewest processor seconds of some rounds; another run under a profiler says what its parts
take. The record goes into `results/evaluate.json` below `one_case`; all else in that file stays. Three minutes.
"""

from __future__ import annotations

import cProfile
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from types import CodeType
from typing import Any
from unittest import mock

from command_cost import command_cost
from cost_inputs import SHAPE, simulated_head, write_case
from machine import RESULTS, stamp

from voxlate.io.atomic import write_json

ROUNDS = 3
PARTS = {
    "reading": ("cases/read_case.py", "load_case"),
    "baselines": ("cases/scores.py", "images_of"),
    "enhancement": ("cases/scores.py", "_enhancement_scores"),
    "image metrics": ("protocols/base.py", "measure"),
    "lesions": ("cases/scores.py", "lesion_records"),
}
"""Parts of an evaluation by the function that computes them; what is left is the start of Python and the tables."""


def words(table: Path, folder: Path, name: str) -> list[str]:
    """Returns the arguments of `voxlate` that evaluate a case into a new folder."""
    return ["evaluate", str(table), str(folder / name), "--synthetic", str(folder / "synthetic"), "--no-progress"]


def parts_here(arguments: list[str]) -> dict[str, float]:
    """Runs a command of voxlate in this process; returns the processor seconds of each part."""
    from voxlate.cli import main as voxlate

    profile = cProfile.Profile(time.process_time)
    with mock.patch.object(sys, "argv", ["voxlate", *arguments]):
        try:
            profile.runcall(voxlate)
        except SystemExit as end:
            if end.code:
                raise
    total = time.process_time()
    found = dict.fromkeys(PARTS, 0.0)
    for entry in profile.getstats():
        for part, (file, name) in PARTS.items():
            if (
                isinstance(entry.code, CodeType)
                and entry.code.co_name == name
                and entry.code.co_filename.endswith(file)
            ):
                found[part] += entry.totaltime
    return {part: round(seconds, 2) for part, seconds in {**found, "start": total - sum(found.values())}.items()}


def measure() -> dict[str, Any]:
    """Returns the record: the cheapest of some rounds, and the parts of a round under a profiler."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / f"{write_case(simulated_head(), folder, 1.0).case}.tsv"
        command = [sys.executable, "-m", "voxlate"]
        rows = [command_cost([*command, *words(table, folder, str(n))]).row() for n in range(ROUNDS)]
        profiled = command_cost([sys.executable, __file__, "--here", *words(table, folder, "profiled")])
    best = min(rows, key=lambda row: row["processor_s"])
    parts = json.loads(profiled.output.splitlines()[-1])
    return {"shape": list(SHAPE), "rounds": ROUNDS, **best, "processor_s_of_parts": parts}


def main() -> None:
    if sys.argv[1:2] == ["--here"]:
        print(json.dumps(parts_here(sys.argv[2:])))
        return
    load = round(os.getloadavg()[0], 1)
    record = {"machine": stamp(), "load_at_start": load, **measure()}
    path = RESULTS / "evaluate.json"
    content = json.loads(path.read_text())
    content["one_case"] = {**content.get("one_case", {}), (sys.argv[1:] or ["now"])[0]: record}
    write_json(path, content)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
