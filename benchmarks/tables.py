"""Rebuilds the tables in the documents from the results, so that no figure is written by hand.

    python benchmarks/tables.py [--check]

A table stands between `<!-- table:NAME -->` and `<!-- end -->`. With --check nothing is written, and a document
that differs from the results ends with status 1.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TITLES = {
    "source": "untouched source",
    "histogram_match": "histogram-matched source",
    "blurred_target": "blurred target",
    "synthetic": "**voxlate**",
}


def result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def machine(content: dict[str, Any]) -> str:
    stamp = content["machine"]
    return f"{stamp['cores']} cores of {stamp['processor']}, commit {stamp['commit']}"


def quality(name: str, intensity: str) -> str:
    content = result("real_pairs")
    lines = ["| in the brain, mean over 3 test subjects | MAE, % of range | PSNR, dB | SSIM |", "|---|---|---|---|"]
    for method, row in content[name]["mean"][intensity].items():
        lines.append(f"| {TITLES[method]} | {row['mae']:.2f} | {row['psnr']:.2f} | {row['ssim']:.3f} |")
    return "\n".join(lines)


def cases(name: str) -> str:
    heads = [TITLES[method] for method in ("source", "histogram_match", "synthetic")]
    lines = [f"| case | {' | '.join(heads)} |", "|---" * 4 + "|"]
    for case, figures in result("real_pairs")[name]["cases"].items():
        cells = []
        for method in ("source", "histogram_match", "synthetic"):
            row = figures["as_written"]["mask"][method]
            cells.append(f"{row['mae']:.2f} % / {row['psnr']:.2f} dB / {row['ssim']:.3f}")
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def enhancement(name: str) -> str:
    lines = ["| case | before (source) | synthetic | real target | change reached |", "|---|---|---|---|---|"]
    for row in result("real_pairs")[name]["lesions"]:
        if row["kind"] == "enhancement":
            figures = [f"{row[f'index_{role}']:.2f}" for role in ("source", "synthetic", "target")]
            lines.append(f"| {row['case']} | {' | '.join(figures)} | {100 * row['share_reached']:.0f} % |")
    return "\n".join(lines)


def training() -> str:
    content = result("real_pairs")
    spent = [f"{name} {content[name]['training_seconds'] / 60:.0f} min" for name in ("t1ce_to_t1", "t1_to_t1ce")]
    return f"Training took {' and '.join(spent)} on {machine(content)} while other jobs ran."


def speed() -> str:
    content = result("translate")
    shape = " x ".join(map(str, content["shape"]))
    return (
        f"A {shape} volume takes {content['seconds_median']:.1f} s (median of {content['repeats']}) and "
        f"{content['peak_gib']:.1f} GiB, from reading the bundle to writing the sidecar ({machine(content)})."
    )


TABLES: dict[str, Callable[[], str]] = {
    "t1ce_to_t1": lambda: quality("t1ce_to_t1", "as_written"),
    "t1ce_to_t1_linear": lambda: quality("t1ce_to_t1", "linear_fit"),
    "t1ce_to_t1_cases": lambda: cases("t1ce_to_t1"),
    "t1_to_t1ce": lambda: quality("t1_to_t1ce", "as_written"),
    "t1_to_t1ce_cases": lambda: cases("t1_to_t1ce"),
    "t1ce_to_t1_enhancement": lambda: enhancement("t1ce_to_t1"),
    "t1_to_t1ce_enhancement": lambda: enhancement("t1_to_t1ce"),
    "training": training,
    "speed": speed,
}


def rebuilt(text: str) -> str:
    """Returns a document with each of its tables made anew."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- table:{found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table:(\w+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main() -> int:
    stale = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        if (new := rebuilt(text)) != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    print(f"{'differ from the results' if '--check' in sys.argv else 'rebuilt'}: {', '.join(stale) or 'none'}")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
