"""The commands in the documents are run, on a cohort of tiny scans."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import yaml
from tiny import RECIPE, write_cohort

from voxlate.io.nifti import read_volume, write_volume

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(path for name in ("recipes", "cohorts", "experiments") for path in (ROOT / name).rglob("*.yaml"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), flags=re.MULTILINE | re.DOTALL)


def lines_of(document: Path) -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks(document, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("voxlate ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_document_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#:]+)\)", index.read_text())}
    assert [path for path in (ROOT / "docs").rglob("*.md") if path != index and path.resolve() not in linked] == []


ITEMS = ROOT / "docs" / "papers" / "items.md"


def rows_of_items() -> list[list[str]]:
    lines = re.findall(r"^\| [A-Z]\d+ \| .*$", ITEMS.read_text(), flags=re.MULTILINE)
    return [line.strip("| ").split(" | ") for line in lines]


def test_the_states_of_the_items_of_the_papers_are_counted():
    paper = {"B": "Bottani 2024", "L": "Lee 2020", "C": "Chen 2022", "D": "Li 2022"}
    printed = re.findall(r"^\| \[(.+)\]\(.+\) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", ITEMS.read_text(), re.MULTILINE)
    states = [(paper[item[0]], state) for item, _, state, *_ in rows_of_items()]
    assert {name: tuple(map(int, numbers)) for name, *numbers in printed} == {
        name: (
            sum(of == name for of, _ in states),
            *(states.count((name, state)) for state in ("yes", "in part", "no")),
        )
        for name in paper.values()
    }
    totals = [sum(int(row[column]) for row in printed) for column in range(1, 5)]
    assert f"| all | {' | '.join(map(str, totals))} |" in ITEMS.read_text()


def test_every_test_and_verb_that_an_item_of_the_papers_names_is_there():
    from voxlate.cli import voxlate

    verbs = voxlate.list_commands(click.Context(voxlate))
    for item, _, _, shown, *_ in rows_of_items():
        path = ""
        for named, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(test_\w+))?`", shown):
            path = named or path
            assert (named or test) == "" or (ROOT / path).is_file(), item
            assert not test or f"def {test}(" in (ROOT / path).read_text(), f"{item}: {test}"
        assert set(re.findall(r"`voxlate (\w+)", shown)) <= set(verbs), item


def test_every_key_that_an_item_of_the_papers_names_is_in_its_experiment_or_recipes():
    from voxlate.experiments.settings import read_experiment

    experiments = {"B": "bottani2024", "L": "lee2020", "C": "chen2022", "D": "li2022"}
    for item, _, _, shown, *_ in rows_of_items():
        name = experiments[item[0]]
        experiment = read_experiment(ROOT / "experiments" / f"{name}.yaml")
        recipes = [yaml.safe_load(path.read_text()) for path in (ROOT / "recipes" / name).glob("*.yaml")]
        known = {
            "table": set(experiment.tables),
            "figure": set(experiment.figures),
            "system": set(experiment.systems),
            "reader": set(experiment.readers),
            "variant": {variant for recipe in recipes for variant in recipe.get("variants", {})},
        }
        for kind, listed in re.findall(r"(table|figure|system|reader|variant)s? ((?:`\w+`(?:, | and | to )?)+)", shown):
            assert set(re.findall(r"`(\w+)`", listed)) <= known[kind], f"{item}: {listed}"
        named = set(re.findall(r"`((?:table|figure)\d\w*)`", shown))
        assert named <= known["table"] | known["figure"], item


def parse(line: str) -> None:
    """Parses a command as `voxlate` does, and runs nothing; a word that is no verb, option or value is an error."""
    from voxlate.cli import voxlate

    words = shlex.split(line)[1:]
    verb, command, rest = voxlate.resolve_command(click.Context(voxlate), words)
    assert command is not None, line
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    with command.make_context(verb, rest):
        pass


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_document_parses(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in lines_of(document):
        if "--config " in line:  # the file is the first block of YAML
            (tmp_path / line.split("--config ")[1].split()[0]).write_text(blocks(document, "yaml")[0])
        parse(line)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_the_comments_of_a_shipped_file_parses(file):
    text = re.sub(r"\\\n# +", "", file.read_text())  # a command may go on in the next line
    for line in re.findall(r"^# +(voxlate .*)$", text, flags=re.MULTILINE):
        parse(line.split("  #")[0])


def test_the_recipe_in_getting_started_is_one(tmp_path):
    from voxlate.bundle.recipe import parse_recipe

    text = blocks(ROOT / "docs" / "tutorials" / "getting-started.md", "yaml")[0]
    recipe = parse_recipe(f"name: x\nsource: T1ce\ntarget: T1nce\n{text}", name="getting-started.md")
    assert [case.split for case in recipe.cases(tmp_path)] == ["train"] * 3 + ["validation", "test"]


@pytest.mark.slow
def test_getting_started_works_from_the_first_command_to_the_last(tmp_path):
    write_cohort(tmp_path / "data", ["train", "train", "validation", "test", "test"], shape=(52, 50, 54))
    recipe = yaml.safe_load(RECIPE)
    recipe["data"]["root"] = "data"
    recipe["training"]["steps"] = 2
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(recipe))
    scan = read_volume(tmp_path / "data" / "source_0.nii.gz")
    write_volume(tmp_path / "T1ce.nii.gz", scan)
    write_volume(tmp_path / "folder" / "one.nii.gz", scan)
    write_volume(tmp_path / "brain.nii.gz", scan.with_data(np.where(scan.data > 0, 1, 0)), dtype="uint8")
    script = Path(sys.executable).with_name("voxlate")
    for line in lines_of(ROOT / "docs" / "tutorials" / "getting-started.md"):
        if "cuda" in line:
            continue
        done = subprocess.run([script, *line.split()[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert (tmp_path / "report.html").exists()
    (program,) = blocks(ROOT / "README.md", "python")
    (tmp_path / "synthetic.nii.gz").unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_volume(tmp_path / "synthetic.nii.gz").grid.matches(scan.grid)


@pytest.mark.parametrize("script", ["tables.py", "paper_pages.py", "peers_page.py", "reference.py"])
def test_every_generated_page_and_table_is_up_to_date(script):
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_shows_the_call_that_should_have_filled_it(document):
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"\{\w+\(", prose) == []


def test_the_map_of_the_code_names_every_folder_and_nothing_else():
    package = ROOT / "src" / "voxlate"
    text = (ROOT / "docs" / "architecture.md").read_text()
    listed = set(re.findall(r"^\| `([a-z_/]+/)`", text, flags=re.MULTILINE))
    folders = {f"{path.parent.relative_to(package)}/" for path in package.rglob("*/__init__.py")}
    assert listed == folders
    places = re.findall(r"^\| [^`|]+ \| (`.+`) \|$", text, flags=re.MULTILINE)
    named = [name for place in places for name in re.findall(r"`([^`]+)`", place)]
    assert len(named) >= 20
    assert not [name for name in named if not (package / name).exists()]


NO_OPTIONS = {
    *("--help", "--check", "--only-stream", "--minutes", "--parts", "--write", "--stream", "--no-deps", "--bind"),
    *("--cases", "--bundle", "--workers", "--n-procs", "--root", "--accelerator"),
}
"""Options that documents name and no verb has: of benchmarks, pip and Python; old spellings."""


def options_of(command: click.Command) -> set[str]:
    inner = [options_of(part) for part in getattr(command, "commands", {}).values()]
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}.union(*inner)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_option_that_a_text_names_exists(document):
    from voxlate.cli import VERBS, voxlate

    known = NO_OPTIONS.union(*(options_of(voxlate.get_command(click.Context(voxlate), verb)) for verb in VERBS))
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(?:voxlate [\w ]+ )?(--[a-z][a-z0-9_-]+)", prose))
    assert sorted(named - known) == []
