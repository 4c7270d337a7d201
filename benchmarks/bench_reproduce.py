"""Runs the experiments of the papers and records what they found.

    python benchmarks/bench_reproduce.py [NAME ...] [--scale tiny]

Runs `voxlate reproduce NAME` for each paper (all of them without a name) in `runs/reproduce/`, going on with an
earlier run, and writes the tables and states to `results/reproduce_NAME_SCALE.json`. After it,
`python benchmarks/paper_pages.py` writes `docs/papers/`. At the scale `tiny` a paper takes 10 to 20 minutes on two
cores.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from machine import RESULTS, ROOT, write_result
from paper_pages import SCALES
from PIL import Image

from voxlate.shipped import shipped_files

MOST_FIGURES_KIB = 600
"""Figures above this size get fewer colours, or stay out of the documents: a repository is no place for large files."""

COLOURS = 64
"""Of a figure that gets fewer; half the size, and the difference is hardly seen in shades of grey."""

IMAGES = ROOT / "docs" / "images" / "papers"


def record(name: str, scale: str, jobs: int) -> dict[str, Any]:
    """Runs an experiment and returns the content of its `results.json`, with the figures copied to `docs/images`."""
    folder = ROOT / "runs" / "reproduce" / f"{name}-{scale}"
    command = [sys.executable, "-m", "voxlate", "reproduce", name, str(folder), "--scale", scale, "--jobs", str(jobs)]
    done = subprocess.run(command, check=False)
    path = folder / "results.json"
    if not path.is_file():
        raise SystemExit(f"{name}: no results (exit status {done.returncode}); see {folder / 'logs'}")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    larger = figures_of_larger_scales(name, scale)
    for figure in content["figures"]:
        if figure["key"] in larger:  # the page shows that one
            figure["file"] = ""
            continue
        target = IMAGES / f"{name}-{scale}-{figure['key']}.png"
        figure["file"] = target.name if copied(folder / "figures" / f"{figure['key']}.png", target) else ""
    return content | {"exit_status": done.returncode}


def figures_of_larger_scales(name: str, scale: str) -> set[str]:
    """Returns the keys of figures that a recorded run at a larger scale has."""
    paths = [RESULTS / f"reproduce_{name}_{larger}.json" for larger in SCALES[: SCALES.index(scale)]]
    return {
        figure["key"]
        for path in paths
        if path.is_file()
        for figure in json.loads(path.read_text(encoding="utf-8"))["figures"]
    }


def copied(picture: Path, target: Path) -> bool:
    """Copies a figure, with fewer colours if it is large; returns whether it is there and small enough."""
    if not picture.is_file():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(picture, target)
    if target.stat().st_size > MOST_FIGURES_KIB << 10:
        with Image.open(picture) as image:
            image.convert("RGB").quantize(COLOURS).save(target, optimize=True)
    if target.stat().st_size > MOST_FIGURES_KIB << 10:
        target.unlink()
    return target.is_file()


@click.command()
@click.argument("names", nargs=-1)
@click.option("--scale", default="tiny", show_default=True, type=click.Choice(SCALES))
@click.option("--jobs", default=2, show_default=True)
def main(names: tuple[str, ...], scale: str, jobs: int) -> None:
    """Run and record experiments."""
    for name in names or tuple(shipped_files("experiments")):
        write_result(f"reproduce_{name}_{scale}", record(name, scale, jobs))


if __name__ == "__main__":
    main()
