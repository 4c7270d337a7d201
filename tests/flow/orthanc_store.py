"""Runs inside a network namespace of its own: starts Orthanc, stores files, reads them back, prints what came back."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

folder, sources = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
settings = {
    "StorageDirectory": str(folder / "db"),
    "IndexDirectory": str(folder / "db"),
    "HttpPort": 8042,
    "DicomServerEnabled": False,
    "AuthenticationEnabled": True,
    "RegisteredUsers": {"test": "test"},
    "OverwriteInstances": False,
}
(folder / "orthanc.json").write_text(json.dumps(settings))
server = subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(path: str, content: bytes | None = None) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:8042{path}", data=content)
    request.add_header("Authorization", "Basic " + base64.b64encode(b"test:test").decode())
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 (our own address)
        return answer.read()


try:
    for _ in range(100):
        try:
            ask("/system")
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
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
finally:
    server.terminate()
    server.wait()
