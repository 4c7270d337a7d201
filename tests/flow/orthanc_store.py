"""Runs inside a network namespace of its own: stores files in Orthanc, reads them back, prints what came back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from orthanc_server import ask, running

folder, sources = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
with running(folder):
    told = [json.loads(ask("/instances", path.read_bytes())) for path in sources]
    again = [json.loads(ask("/instances", path.read_bytes()))["Status"] for path in sources]
    same = [ask(f"/instances/{each['ID']}/file") == path.read_bytes() for each, path in zip(told, sources, strict=True)]
    sys.stdout.write(
        json.dumps(
            {
                "stored": sorted({each["Status"] for each in told}),
                "again": sorted(set(again)),
                "same": all(same),
                "patients": len(json.loads(ask("/patients"))),
                "studies": len(json.loads(ask("/studies"))),
                "series": len(json.loads(ask("/series"))),
            }
        )
    )
