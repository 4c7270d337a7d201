"""Coverage-guided fuzzing of one target: `python tests/fuzzing/run.py nifti -runs=100000` (see `make fuzz`).

Needs the extra `fuzz`. Options after the name go to libFuzzer. An input that escapes is kept as `crash-…` in the
working folder. `benchmarks/results/fuzz.json` gets the count, every thousand executions.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["voxlate", "pydicom", "nibabel", "yaml", "csv"]):
    from targets import TARGETS, seeds

    if len(sys.argv) > 1:
        TARGETS[sys.argv[1]](seeds(sys.argv[1])[0])  # what a target imports when it is called is instrumented too

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from machine import stamp

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "fuzz.json"


def main() -> None:
    name, *options = sys.argv[1:]
    logging.getLogger("voxlate").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    counts = {"executions": 0, "done": 0, "escapes": 0}
    start, longest = time.monotonic(), [0.0]

    def once(content: bytes) -> None:
        began = time.monotonic()
        try:
            ended = TARGETS[name](content)
        except BaseException:
            counts["escapes"] += 1
            keep()
            raise
        longest[0] = max(longest[0], time.monotonic() - began)
        counts["executions"] += 1
        counts["done"] += ended == "done"
        if counts["executions"] % 1000 == 0:
            keep()

    def keep() -> None:
        known = json.loads(RESULT.read_text()) if RESULT.exists() else {"targets": {}}
        known["machine"] = stamp()
        seconds = round(time.monotonic() - start)
        known["targets"][name] = counts | {"seconds": seconds, "slowest_s": round(longest[0], 2)}
        RESULT.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")

    corpus = Path(tempfile.mkdtemp(prefix="voxlate-corpus-"))
    for number, content in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(content)
    atheris.Setup([sys.argv[0], "-rss_limit_mb=4096", "-timeout=20", "-max_len=65536", *options, str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
