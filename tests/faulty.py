"""Work on cases that goes wrong in a way that the name of the case says; importable by other processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from voxlate.io.atomic import sha256
from voxlate.jobs.states import CaseOutcome, State


class Faulty:
    """Writes a small file for each case, unless its name says otherwise."""

    def __call__(self, item, out: Path) -> CaseOutcome:
        if item.name.startswith("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        if item.name.startswith("once"):
            marker = out / ".runs" / f"{item.name}.seen"
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if item.name.startswith("hangs"):
            time.sleep(60)
        if item.name.startswith("huge"):
            try:
                held = bytearray(2 << 30)
                return CaseOutcome(item.name, State.FAILED, "NOT_LIMITED", str(len(held)))
            except MemoryError:
                return CaseOutcome(item.name, State.FAILED, "MEMORY", "limited")
        path = out / f"{item.name}.txt"
        path.write_text(item.name)
        return CaseOutcome(item.name, State.DONE, files={path.name: sha256(path)})
