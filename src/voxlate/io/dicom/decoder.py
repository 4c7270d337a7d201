"""A process that decodes compressed pixels with native libraries, so that a hostile file takes down no more than it."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np

from voxlate.errors import InputRefused, TemporaryFailure
from voxlate.io.dicom.parse import read_dataset
from voxlate.io.dicom.pixels import decode

_ROOM_BYTES = 2 << 30


def main() -> int:
    """Decodes what standard input asks for; returns 0, or a status of `voxlate.errors` after a line that says why."""
    request = json.load(sys.stdin)
    limit = 4 * int(request["bytes"]) + _ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        for source, output in request["jobs"]:
            path = Path(source)
            numbers = decode(read_dataset(path, force=request["force"]), path)
            with Path(output).open("wb") as stream:
                np.save(stream, numbers, allow_pickle=False)
    except InputRefused as error:
        sys.stdout.write(f"{error.message}\n")
        return InputRefused.exit_status
    except MemoryError:
        sys.stdout.write("a picture asks for more memory than its header says\n")
        return InputRefused.exit_status
    except OSError:
        return TemporaryFailure.exit_status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
