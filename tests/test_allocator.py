import os
import platform
import subprocess
import sys
from threading import Event

import pytest

from voxlate import allocator
from voxlate.allocator import VARIABLES

ALLOCATE = """
import resource
import sys
from voxlate.allocator import keep_freed_memory, return_freed_memory
print(keep_freed_memory())
if "return" in sys.argv:
    return_freed_memory()
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.full((100, 1 << 20), 1, np.uint8)
before = faults()
for _ in range(20):
    np.full((100, 1 << 20), 1, np.uint8)
print(faults() - before)
"""


def _run(given: dict[str, str], *words: str) -> tuple[str, int]:
    """Returns what keep_freed_memory answered, and the page faults of 20 arrays of 100 MiB in a row."""
    clean = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    clean["NUMPY_MADVISE_HUGEPAGE"] = "0"  # a huge page costs one fault in place of 512, when the system has one left
    run = subprocess.run(
        [sys.executable, "-c", ALLOCATE, *words], env=clean | given, capture_output=True, text=True, check=True
    )
    answer, faults = run.stdout.split()
    return answer, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_arrays_of_a_size_that_was_freed_cost_no_page_faults():
    answer, faults = _run({})
    assert answer == "True"
    default = 131_072  # bytes, of glibc; naming it leaves all other settings at their defaults as well
    _, without = _run({"MALLOC_TOP_PAD_": str(default)})
    assert faults < without / 5
    _, returned = _run({}, "return")
    assert returned > without / 2


def test_a_process_that_did_not_keep_its_memory_has_its_settings_left_alone(monkeypatch):
    calls = []
    monkeypatch.setattr(allocator, "_is_kept", Event())
    monkeypatch.setattr(allocator, "_set", lambda *parameters: calls.append(parameters) or True)
    allocator.return_freed_memory()
    assert not calls
    assert allocator.keep_freed_memory()
    allocator.return_freed_memory()
    allocator.return_freed_memory()
    assert len(calls) == 2


def test_settings_of_the_user_stay_in_charge():
    assert _run({"MALLOC_TRIM_THRESHOLD_": "131072"})[0] == "False"
