"""Worker process that runs Greedy for `voxlate.preparation.registration.greedy`; it is started as a module."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import picsl_greedy

from voxlate.preparation.sitk import to_image
from voxlate.volume import Volume


def _image(folder: Path, role: str) -> Any:
    arrays = [np.load(folder / f"{name}.npy", allow_pickle=False) for name in (role, f"{role}_affine")]
    return to_image(Volume(*arrays))


def _answer(question: dict[str, str]) -> dict[str, Any]:
    folder = Path(question["folder"])
    images = {role: _image(folder, role) for role in ("fixed", "moving", "reach")}
    greedy = picsl_greedy.Greedy3D()
    try:
        command = f"{question['options']} -i fixed moving -gm reach -o found"
        greedy.execute(command, out=io.StringIO(), err=io.StringIO(), **images, found=None)
        return {"matrix": np.asarray(greedy["found"], dtype=np.float64).tolist()}
    except (RuntimeError, ValueError, KeyError) as error:
        return {"error": " ".join(str(error).split())}


def main() -> None:
    """Answers each line of standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(
        os.open(os.devnull, os.O_WRONLY), 1
    )  # compiled code prints to standard output, which would corrupt the answers
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
