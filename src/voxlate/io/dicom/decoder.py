"""Worker process that decodes compressed pixels with native libraries; a crash ends this process only."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np

from voxlate.errors import InputRefused, TemporaryFailure
from voxlate.io.dicom.parse import read_dataset
from voxlate.io.dicom.pixels import decode

_ROOM_BYTES = 2 << 30  # for the interpreter and its libraries; chosen by hand


def main() -> int:
    """Decodes the files named on standard input; returns an exit status of `voxlate.errors` and prints the reason."""
    request = json.load(sys.stdin)
    limit = 4 * int(request["bytes"]) + _ROOM_BYTES  # four copies of the pixels; chosen by hand
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
        sys.stdout.write("an image needs more memory than its header states\n")
        return InputRefused.exit_status
    except OSError:
        return TemporaryFailure.exit_status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
