"""Progress of the public functions in a program that has not set up logging, and in one that has."""

import subprocess
import sys

import pytest

PROGRAM = """
import logging
from voxlate.api.progress import progress
{set_up}
log = logging.getLogger("voxlate")
with progress("translating", 3) as (bar, task):
    log.info("first")
    log.warning("second")
    bar.reach(task, 1)
log.info("third")
log.warning("fourth")
"""


@pytest.mark.parametrize(
    ("set_up", "printed"),
    [
        ("", ["first", "second", "fourth"]),
        ("logging.getLogger('voxlate').setLevel(logging.WARNING)", ["second", "fourth"]),
        (
            "logging.basicConfig(level=logging.INFO, format='> %(message)s')",
            ["> first", "> second", "> third", "> fourth"],
        ),
    ],
)
def test_messages_go_to_standard_error_unless_the_program_has_set_up_logging(set_up, printed):
    program = PROGRAM.format(set_up=set_up)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr.splitlines()) == ("", printed)
