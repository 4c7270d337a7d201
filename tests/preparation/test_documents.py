"""The commands of docs/how-to/preparation.md that need no data of the reader run from an empty folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from voxlate.cases import read_cases

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "preparation.md"


@pytest.mark.slow
@pytest.mark.parametrize(("data", "result", "rows"), [("heads", "prepared_heads", 1), ("spines", "discs", 6)])
def test_the_commands_on_simulated_data_work(tmp_path, data, result, rows):
    blocks = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if f"voxlate simulate {data} " in block)
    for line in block.splitlines():
        command = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    cases = read_cases(tmp_path / result / "cases.tsv")
    assert len(cases) == rows
    assert all(path.is_file() for case in cases for path in (case.source, case.target, *case.more.values()))
