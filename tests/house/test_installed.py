"""voxlate installed from its wheel in an empty folder: everything is found by name, and the README's paths run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from voxlate.cases import read_cases, write_cases

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = "import sys; sys.modules[{module!r}] = None; from voxlate.cli import main; main()"
"""A program that runs the command line as if a module were not installed."""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip"]
    command = [*pip, "wheel", "-q", "--no-deps", "-w", folder, ROOT]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No matching distribution found for hatchling" in built.stderr:  # any other failure is ours
        pytest.skip("the build tool comes from a package registry, which is not reached")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("voxlate-*.whl")
    subprocess.run([*pip, "install", "-q", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def run(site: Path, folder: Path, line: str, *, program: list[str] | None = None, status: int = 0) -> str:
    """Runs a command of the installed package in a folder and returns what it printed."""
    words = program or ["-m", "voxlate"]
    environment = os.environ | {"PYTHONPATH": str(site), "VOXLATE_UID_SALT": "a-secret-of-32-letters-for-a-test-"}
    done = subprocess.run(
        [sys.executable, *words, *shlex.split(line)[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def readme_commands(heading: str) -> list[str]:
    """Returns the commands below a heading of the README, without comments."""
    text = (ROOT / "README.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = "".join(re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)).splitlines()
    return [line.split("  #")[0].strip() for line in lines]


@pytest.mark.slow
def test_recipes_rules_experiments_and_models_are_found_by_name_in_an_installed_package(site, tmp_path):
    where = run(site, tmp_path, "x", program=["-c", "import voxlate; print(voxlate.__file__)"])
    assert where.startswith(str(site))
    assert "t1ce_to_t1" in run(site, tmp_path, "voxlate recipes")
    assert "t1ce-to-t1" in run(site, tmp_path, "voxlate models")
    assert "bottani2024" in run(site, tmp_path, "voxlate reproduce")
    assert "index" in run(site, tmp_path, "voxlate cohort bottani2024 no-index out", status=2)
    assert "cases.tsv" in run(site, tmp_path, "voxlate train t1ce_to_t1_finetuned run --data .", status=66)
    assert "train-mse" in run(site, tmp_path, "voxlate reproduce li2022 out --dry-run")


@pytest.mark.slow
def test_a_missing_extra_answers_with_the_command_that_installs_it(site, tmp_path):
    run(site, tmp_path, "voxlate simulate patients --subjects 1")
    (case,) = read_cases(tmp_path / "patients" / "cases.tsv")
    program = ["-c", BLOCKED.format(module="deepbet")]
    line = f"voxlate translate {case.source} out.nii.gz -m t1ce-to-t1"
    assert "pip install 'voxlate[prepare]'" in run(site, tmp_path, line, program=program, status=78)
    assert not (tmp_path / "out.nii.gz").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_readme_translates_one_scan_as_printed(site, tmp_path):
    run(site, tmp_path, "voxlate simulate patients --subjects 1 --size full --seed 7")
    (case,) = read_cases(tmp_path / "patients" / "cases.tsv")
    shutil.copyfile(case.source, tmp_path / "T1ce.nii.gz")
    for line in readme_commands("I have a scan"):
        run(site, tmp_path, line)
    assert (tmp_path / "synthetic.nii.gz").is_file()
    (tmp_path / "synthetic.nii.gz").unlink()
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    run(site, tmp_path, "x", program=["-c", program])
    assert (tmp_path / "synthetic.nii.gz").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_readme_trains_on_pairs_as_printed(site, tmp_path):
    run(site, tmp_path, "voxlate simulate patients --subjects 5 --seed 7")
    write_cases(tmp_path / "cases.tsv", read_cases(tmp_path / "patients" / "cases.tsv"))
    for line in readme_commands("I have pairs"):
        run(site, tmp_path, line)
        if line.startswith("voxlate init"):  # the recipe of a real training, made small
            recipe = yaml.safe_load((tmp_path / "my.yaml").read_text())
            recipe["model"]["arguments"] = {"width": 4}
            recipe["training"] |= {"steps": 4, "window": [32, 32, 32], "warmup": 1}
            (tmp_path / "my.yaml").write_text(yaml.safe_dump(recipe))
    assert (tmp_path / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_readme_makes_a_cohort_of_an_archive_as_printed(site, tmp_path):
    run(site, tmp_path, "voxlate simulate hospital --subjects 6 --seed 7 --dicom")
    shutil.copytree(tmp_path / "hospital" / "sourcedata" / "dicom", tmp_path / "archive")
    for line in readme_commands("I have an archive"):
        run(site, tmp_path, line)
    assert read_cases(tmp_path / "cohort_prepared" / "cases.tsv")
