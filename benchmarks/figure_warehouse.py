"""Draws the figures of docs/how-to/cohort.md from a simulated archive: the flow chart and the page for grading.

    python benchmarks/figure_warehouse.py [--subjects 16]

The page is photographed by Chromium where there is one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
MIX = "good=0.4,medium=0.25,low=0.2,improper=0.15"


def voxlate(*arguments: object, may_be: tuple[int, ...] = (0,)) -> None:
    command = [sys.executable, "-m", "voxlate", *map(str, arguments)]
    assert subprocess.run(command, check=False).returncode in may_be, arguments


def photograph(grades: Path, path: Path) -> None:
    browser = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if browser is None:
        print("no Chromium: the page is not photographed")
        return
    command = [sys.executable, "-m", "voxlate", "regrade", str(grades), "--port", "8799"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        link = server.stdout.readline().split()[-1]
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,800"]
        options += ["--virtual-time-budget=4000", f"--screenshot={path}", link]
        subprocess.run([browser, *options], check=True, stderr=subprocess.DEVNULL)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--subjects", type=int, default=16)
    subjects = parser.parse_args().subjects
    os.environ["VOXLATE_UID_SALT"] = "figures"
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        voxlate("simulate", place / "made", "-n", subjects, "--seed", 12, "--dicom", "--quality-mix", MIX)
        voxlate("index", place / "made" / "sourcedata" / "dicom", place / "index")
        voxlate("grade", place / "index", place / "grades", may_be=(0, 8))
        rules = ROOT / "cohorts" / "bottani2024.yaml"
        voxlate("cohort", rules, place / "index", place / "out", "--grades", place / "grades", may_be=(0, 8))
        shutil.copy(place / "out" / "flow.png", IMAGES / "flow.png")
        photograph(place / "grades", IMAGES / "regrade.png")


if __name__ == "__main__":
    main()
