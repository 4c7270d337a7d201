"""The reference of errors holds every code of the source, with a cause and a remedy, and no other."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ERRORS = ROOT / "docs" / "reference" / "errors.md"
SHAPE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
"""Two or more upper-case words: the shape of a code that is not also an ordinary abbreviation."""

NO_CODES = {
    "ALLOC_FAILED", "AS_WRITTEN", "BIOGRAPH_MMR", "DB_DT", "FEATURE_LOSSES", "FIELD_MAP", "GEMS_RELA_01",
    "GLIBC_TUNABLES", "GR_IR", "HEAD_NECK", "IEC_NORMAL", "IEC_WHOLE_BODY", "LEVELS_ENOUGH", "LINEAR_EXACT",
    "LINEAR_FIT", "MAX_BYTES", "MINIMUM_PATIENTS", "MORE_SEGMENTERS", "NIFTI_GZ", "NO_CONTRAST", "O_CLOEXEC",
    "O_NONBLOCK", "PERFORMANCE_HINT", "PRISMA_FIT", "SE_IR", "SIZES_MM", "SLICE_COUNT", "SLICE_SD", "T1W_3D_TFE",
    "T2W_TSE", "WORLD_SIZE",
}  # fmt: skip
"""Texts of the source that have the shape of a code: names of constants, scanners, sequences and DICOM terms."""

SETTINGS_OF_OTHERS = re.compile(
    r"(VOXLATE|CUDA|MLFLOW|INFERENCE|XDG|LOCAL|SLURM|OMP|MKL|OPENBLAS|ITK|GROUP|TORCHELASTIC)_.*|NODE_RANK"
)
"""Environment variables and settings of libraries."""


def rows() -> list[list[str]]:
    """Returns the cells of each row of the tables of the reference; the first is the code."""
    lines = [line for line in ERRORS.read_text().splitlines() if line.startswith("| `")]
    return [[part.strip(" `") for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def codes() -> set[str]:
    return {cells[0] for cells in rows()}


def texts_of_the_source() -> set[str]:
    texts = set()
    for path in (ROOT / "src" / "voxlate").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SHAPE.fullmatch(node.value):
                texts.add(node.value)
    return {text for text in texts - NO_CODES if not SETTINGS_OF_OTHERS.fullmatch(text)}


def test_every_text_of_the_source_with_the_shape_of_a_code_is_in_the_reference():
    assert texts_of_the_source() - codes() == set()


def test_every_code_of_the_reference_is_in_the_source():
    source = "".join(path.read_text() for path in (ROOT / "src" / "voxlate").rglob("*.py"))
    made = {"EVALUATION_INVALID", "EVALUATION_MISSING", "COMPARISON_INVALID", "COMPARISON_MISSING"}  # of two parts
    assert [code for code in codes() - made if f'"{code}"' not in source] == []


def test_every_code_has_a_cause_and_a_remedy():
    of_codes = [cells for cells in rows() if len(cells) == 5]
    told = {cells[0] for cells in of_codes if cells[2] not in ("", "The message states it.")}
    lacking = [cells[0] for cells in of_codes if cells[0] not in told or not cells[3]]
    assert lacking == [], "add them to benchmarks/error_remedies.yaml"
    assert len(codes()) > 300


def test_every_code_that_a_document_names_exists():
    known = codes()
    for path in (ROOT / "docs").rglob("*.md"):
        named = set(re.findall(rf"`({SHAPE.pattern})`", path.read_text()))
        assert [n for n in named - known - NO_CODES if not SETTINGS_OF_OTHERS.fullmatch(n)] == [], path.name


def test_every_key_of_a_recipe_has_a_meaning_and_every_section_is_there():
    from voxlate.bundle.recipe import Recipe

    text = (ERRORS.parent / "recipe.md").read_text()
    assert not re.findall(r"^\| `\w+` \|.*\|  \|$", text, flags=re.MULTILINE)
    for name, field in Recipe.model_fields.items():
        assert f"| `{name}` |" in text
        if "Settings" in str(field.annotation):
            assert f"\n## {name}\n" in text
    assert "| `learning_rate` | number, above 0 | `0.001` |" in text
    assert "| `window` | 3 x whole number | `[64, 64, 64]` |" in text


def test_every_environment_variable_is_in_the_reference():
    source = "".join(path.read_text() for path in (ROOT / "src" / "voxlate").rglob("*.py"))
    listed = re.findall(r"^\| `(VOXLATE_\w+)` \|", (ERRORS.parent / "commands.md").read_text(), flags=re.MULTILINE)
    assert sorted(set(re.findall(r'"(VOXLATE_[A-Z_]+)"', source))) == listed


def test_every_verb_and_public_name_has_its_section():
    import voxlate
    from voxlate.cli import VERBS

    assert [v for v in VERBS if f"\n## voxlate {v}\n" not in (ERRORS.parent / "commands.md").read_text()] == []
    names = set(voxlate.__all__) - {"__version__"}
    assert [n for n in names if f"\n## voxlate.{n}\n" not in (ERRORS.parent / "python.md").read_text()] == []


def test_a_remedy_of_one_package_is_not_shown_for_the_same_code_of_another(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    reference, site = __import__("reference"), __import__("error_codes").Site
    here = [site("A_B", "NoInput", "it is large", "io/a.py"), site("A_B", "NoInput", "it is long; cut it", "io/b.py")]
    there = [site("A_B", "NoInput", "it is big; grade another", "quality/c.py")]
    remedies = {
        name: row.split(" | ")[3] for row in reference.code_rows("A_B", here + there, {}) for name in row.split()
    }
    assert (remedies["`io`"], remedies["`quality`"]) == ("Cut it", "Grade another")
    alone = "\n".join(reference.code_rows("A_B", [here[0], *there], {}))
    assert "It is large |  | `io`" in alone  # which test_every_code_has_a_cause_and_a_remedy refuses
    written = "\n".join(reference.code_rows("A_B", [here[0], *there], {"remedy": {"io": "Copy it."}}))
    assert "It is large | Copy it | `io`" in written


def test_a_code_that_is_raised_with_two_remedies_borrows_neither_for_a_third_message(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    reference, site = __import__("reference"), __import__("error_codes").Site
    sites = [site("A_B", "NoInput", text, "io/a.py") for text in ("x is bad", "y is; mend it", "z is; move it")]
    assert "X is bad |  | `io`" in "\n".join(reference.code_rows("A_B", sites, {}))


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ('raise InputRefused("A_B", f"{name} is {n}; mend it")', ("A_B", "InputRefused", "… is …; mend it", 0)),
        ('raise UsageError("A_B" if x else "C_D", "no")', ("C_D", "UsageError", "no", 0)),
        ('code = "A_B"\n    raise NoInput(code, MESSAGE)', ("A_B", "NoInput", "known", 0)),
        ('raise HttpRefusal(409, "A_B", "no")', ("A_B", "HttpRefusal", "no", 409)),
        ('CaseOutcome(case, FAILED, "A_B", "no")', ("A_B", "CaseOutcome", "no", 0)),
        ('raise click.UsageError("A_B", 1)', None),
    ],
)
def test_codes_are_found_in_every_form_in_which_the_source_writes_them(tmp_path, monkeypatch, program, expected):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    error_codes = __import__("error_codes")
    (tmp_path / "module.py").write_text(f'MESSAGE = "known"\n\n\ndef work(name, n, x, case):\n    {program}\n')
    monkeypatch.setattr(error_codes, "SOURCE", tmp_path)
    found = [(site.code, site.carrier, site.message, site.status) for site in error_codes.find_sites()]
    assert (expected in found) if expected else (found == [])


def test_a_code_that_a_function_passes_on_is_found_at_its_calls(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    error_codes = __import__("error_codes")
    helper = 'def refuse(name, code):\n    raise InputRefused(code, f"{name} is bad; mend it")\n'
    helper += "def end(code, message):\n    raise InputRefused(code, message)\n"
    calls = 'refuse("x", "A_B")\nrefuse("x", code="C_D")\nend("E_F", f"{name} is a map; name a scan")\n'
    (tmp_path / "module.py").write_text(helper + calls)
    monkeypatch.setattr(error_codes, "SOURCE", tmp_path)
    found = [(site.code, site.message) for site in error_codes.find_sites()]
    assert found == [(code, "… is bad; mend it") for code in ("A_B", "C_D")] + [("E_F", "… is a map; name a scan")]
    sys.modules.pop("error_codes", None)
