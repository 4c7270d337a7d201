"""Orthanc with DICOMweb on port 8042 of this network, which must be one of its own; for scripts that tests start."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ADDRESS = "http://127.0.0.1:8042"


@contextmanager
def running(folder: Path) -> Iterator[None]:
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": 8042,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"test": "test"},
        "OverwriteInstances": False,
        "Plugins": [str(PLUGIN)] if PLUGIN.is_file() else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    command = ["Orthanc", folder / "orthanc.json"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                ask("/system")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


def ask(path: str, content: bytes | None = None) -> bytes:
    request = urllib.request.Request(ADDRESS + path, data=content)  # noqa: S310 (our own address)
    request.add_header("Authorization", "Basic " + base64.b64encode(b"test:test").decode())
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 (our own address)
        return answer.read()
