"""Work on cases that goes wrong in a way that the name of the case says; importable by other processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from voxlate.io.atomic import sha256


class Faulty:
    """Writes a small file for each case, unless its name says otherwise."""

    def __call__(self, item, out: Path) -> dict[str, Any]:
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
                return {"event": "failed", "code": "NOT_LIMITED", "message": str(len(held))}
            except MemoryError:
                return {"event": "failed", "code": "MEMORY", "message": "limited"}
        path = out / f"{item.name}.txt"
        path.write_text(item.name)
        return {"event": "done", "files": {path.name: sha256(path)}}
