"""The rules of the house: who may import whom, how long things may get, what must not be written down."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "voxlate"
FILES = sorted(PACKAGE.rglob("*.py"))

GROUND = {"errors", "volume", "reference_level", "threads", "allocator", "mutual_information", "version"}
FILES_AND_JOBS = GROUND | {"io", "jobs", "cases", "pairs"}
MAY_IMPORT = {
    "version": set(),
    "errors": set(),
    "threads": set(),
    "allocator": set(),
    "mutual_information": set(),
    "volume": {"errors"},
    "reference_level": {"errors", "volume"},
    "windows": GROUND,
    "io": GROUND,
    "cases": GROUND | {"io"},
    "pairs": GROUND | {"io", "cases"},
    "jobs": GROUND | {"io"},
    "web": GROUND | {"io"},
    "models": {"errors"},
    "losses": {"errors"},
    "archive": GROUND | {"io", "jobs"},
    "preparation": FILES_AND_JOBS,
    "cohort": FILES_AND_JOBS | {"archive"},
    "simulation": GROUND | {"io", "jobs", "preparation"},
    "evaluation": FILES_AND_JOBS | {"preparation"},
    "reporting": GROUND | {"io", "jobs", "web", "preparation", "evaluation"},
    "quality": FILES_AND_JOBS | {"archive", "preparation", "models", "web"},
    "readers": GROUND | {"io", "web", "preparation", "evaluation"},
    "bundle": FILES_AND_JOBS | {"preparation", "windows", "models"},
    "training": FILES_AND_JOBS | {"preparation", "simulation", "windows", "models", "losses", "bundle", "evaluation"},
    "inference": FILES_AND_JOBS | {"preparation", "windows", "models", "bundle", "evaluation"},
    "shipped": {"errors"},
    "experiments": FILES_AND_JOBS
    | {
        "shipped",
        "threads",
        "web",
        "preparation",
        "windows",
        "models",
        "losses",
        "bundle",
        "evaluation",
        "reporting",
        "training",
    },
}
MAY_IMPORT["api"] = set(MAY_IMPORT)  # inside its functions: see test_public_names
MAY_IMPORT["demo"] = set(MAY_IMPORT) | {"cli"}
MAY_IMPORT["cli"] = set(MAY_IMPORT) - {"demo"}
MAY_IMPORT["__main__"] = {"cli"}
MAY_IMPORT["__init__"] = set(MAY_IMPORT) - {"cli", "demo"}  # lazily: see test_public_names
TRAINING_ONLY = ("voxlate.training", "voxlate.evaluation", "voxlate.losses")
MODULES_OF_INFERENCE = 110
"""Modules that `voxlate.inference.translate` loads, each network one; nothing of training is among them."""

HEAVY = {"torch", "numpy", "scipy", "nibabel", "matplotlib", "pydantic", "lightning_fabric", "safetensors"}


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "voxlate"}
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_one_way(file):
    tree = ast.parse(file.read_text())
    rooms = {name.split(".")[1] for name in imports(tree) if name.startswith("voxlate.")}
    rooms -= {room(file)}
    assert rooms <= MAY_IMPORT[room(file)], f"{room(file)} must not import {rooms - MAY_IMPORT[room(file)]}"


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES}


def modules_imported(file: Path) -> set[str]:
    """Returns the modules of the package that a file names at module level, imports for type checking included."""
    nodes = ast.parse(file.read_text()).body
    nodes += [inner for node in nodes if isinstance(node, ast.If | ast.Try) for inner in node.body]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & set(MODULES) or {node.module}
    return (found & set(MODULES)) - {module_of(file)}


WINGS = sorted({room(file) for file in FILES if file.parent != PACKAGE})


@pytest.mark.parametrize("wing", WINGS)
def test_no_module_imports_itself_by_way_of_others(wing):
    inside = {name: file for name, file in MODULES.items() if name.startswith(f"voxlate.{wing}.")}
    graph = {name: modules_imported(file) & set(inside) for name, file in inside.items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


SIMULATION_ORDER = (
    {"checks", "factors", "rng", "random_fields"},
    {"anatomy"},
    {"lesions"},
    {"physics"},
    {"patient", "spine_patient", "oracle", "truth", "subject", "tissue_map", "__init__"},
    {"files"},
)
"""Parts of the simulator; each imports only from its own line and the lines above it."""


def test_the_folders_of_the_simulator_import_one_way():
    level = {name: number for number, names in enumerate(SIMULATION_ORDER) for name in names}
    for file in sorted((PACKAGE / "simulation").rglob("*.py")):
        own = file.relative_to(PACKAGE / "simulation").parts[0].removesuffix(".py")
        modules = (name.split(".") for name in modules_imported(file) if name.startswith("voxlate.simulation"))
        later = {part for _, _, part, *_ in ((*parts, "__init__") for parts in modules) if level[part] > level[own]}
        assert not later, f"{own} must not import {later}"


@pytest.mark.parametrize(
    "name",
    ["io", "jobs", "web", "archive", "cohort", "preparation", "simulation", "evaluation", "reporting", "readers"],
)
def test_rooms_that_work_without_a_network_do_not_load_torch(name):
    for file in sorted((PACKAGE / name).rglob("*.py")):
        assert "torch" not in {module.split(".")[0] for module in imports(ast.parse(file.read_text()))}, file.name


def test_translating_one_scan_loads_nothing_of_training_evaluation_or_losses():
    code = "import sys, voxlate.inference.translate; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = [name for name in done.stdout.split() if name.startswith("voxlate")]
    assert not [name for name in modules if name.startswith(TRAINING_ONLY)]
    assert len(modules) <= MODULES_OF_INFERENCE, f"translating one scan loads {len(modules)} modules of ours"


@pytest.mark.parametrize("file", sorted((PACKAGE / "cli").glob("*.py")), ids=lambda file: file.name)
def test_the_command_line_imports_nothing_heavy_at_its_top(file):
    top = ast.Module([node for node in ast.parse(file.read_text()).body if not isinstance(node, ast.If)], [])
    modules = set()
    for node in top.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules |= imports(ast.Module([node], []))
    assert not {module.split(".")[0] for module in modules} & HEAVY
    assert all(
        name.startswith(("voxlate.cli", "voxlate.errors", "voxlate.version"))
        for name in modules
        if name.startswith("voxlate.")
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(file):
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and "cli" not in file.parts:
            length = node.end_lineno - node.lineno + 1
            docstring = ast.get_docstring(node, clean=False) or ""
            assert length - len(docstring.splitlines()) <= 50, f"{node.name} has {length} lines"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def test_no_file_holds_a_merge_that_was_not_finished():
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".json", ".txt"}:
            found = re.search(r"^(<{7} |>{7} )", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert found is None, path.name


def test_no_file_names_a_machine_s_folder_or_a_registry_s_host():
    paths = "|".join(("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/[a-z]", "/t" + "mp/[a-z]"))
    hosts = r"https?://[^ ]*(py" + r"pi|python" + r"hosted|npm" + r"js|deb" + r"ian)\.(org|com)"
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".json", ".txt"} or path.name in {"Makefile", "run"}:
            text = path.read_text(encoding="utf-8")
            found = re.search(f"(?<![A-Za-z0-9.])({paths})", text) or re.search(hosts, text)
            assert found is None, f"{path.name}: {found.group(0)}"


def test_nothing_unpickles():
    for file in FILES:
        text = file.read_text()
        assert not re.search(r"torch\.load\(|import pickle|pickle\.load|yaml\.load\(|extractall\(|shell=True", text)


def test_the_commands_that_the_readme_names_exist():
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", text, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    from voxlate.cli import VERBS

    for verb in re.findall(r"^voxlate ([a-z]+)", text, flags=re.MULTILINE):
        assert verb in VERBS


def test_values_that_two_packages_need_and_may_not_import_from_each_other_are_equal():
    from voxlate.bundle.out_of_distribution import FLAG_ABOVE
    from voxlate.evaluation.comparison import folds
    from voxlate.reporting.sections import remarks
    from voxlate.training.preflight import FOLDS_TABLE

    assert remarks._FLAGGED_ABOVE == FLAG_ABOVE
    assert folds.TABLE == FOLDS_TABLE
