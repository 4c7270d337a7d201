"""What every result says of the machine and the code that made it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from voxlate.io.atomic import write_json

RESULTS = Path(__file__).parent / "results"


def stamp() -> dict[str, Any]:
    """Returns processor, cores, memory, Python, torch and commit."""
    import torch

    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _git("rev-parse", "--short", "HEAD"),
        "has_uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def write_result(name: str, content: dict[str, Any]) -> None:
    """Writes `results/<name>.json`."""
    path = RESULTS / f"{name}.json"
    write_json(path, {"machine": stamp()} | content)
    print(f"{path}\n{json.dumps(content, indent=1)[:2000]}")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=RESULTS.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()
