"""Runs inside a network namespace of its own: files go into Orthanc, its index is made, a series fetched, read."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from orthanc_server import ADDRESS, ask, running

from voxlate.archive import index, read_table, series_files
from voxlate.io.dicom import find_series, read_series

folder, sources = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
netrc = folder / "netrc"
netrc.write_text("machine 127.0.0.1 login test password test\n")
netrc.chmod(0o600)
os.environ["NETRC"] = str(netrc)
with running(folder):
    for path in sources:
        ask("/instances", path.read_bytes())
    for _ in index(f"{ADDRESS}/dicom-web", folder / "index"):
        pass
    rows = read_table(folder / "index")
    sums = {}
    for row in rows:
        with series_files(folder / "index", row["series"]) as files:
            volume = read_series(find_series(files)[0]).volume
        sums[row["series"]] = [float(volume.data.sum(dtype="float64")), list(volume.spacing_mm)]
sys.stdout.write(json.dumps({"rows": rows, "sums": sums}))
