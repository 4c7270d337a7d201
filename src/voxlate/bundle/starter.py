"""An example table of cases, and a commented recipe for a table, chosen by what the table holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxlate.bundle.settings import DEFAULT_TABLE
from voxlate.cases import ABSENT, Case, read_cases, write_cases
from voxlate.errors import UsageError
from voxlate.io.atomic import write_text
from voxlate.io.bids import CONTRAST_ALIASES, contrast_of
from voxlate.io.documents import parse_yaml
from voxlate.io.nifti import read_volume
from voxlate.preparation.masks.ct_mask import looks_like_ct

_EXAMPLE_TABLE = """case\tpatient\tsplit\tsource\ttarget\tmask\tlabels
case01\tpatient01\ttrain\tcase01/{source}.nii.gz\tcase01/{target}.nii.gz\t\t
case02\tpatient02\ttrain\tcase02/{source}.nii.gz\tcase02/{target}.nii.gz\t\t
case03\tpatient02\ttrain\tcase03/{source}.nii.gz\tcase03/{target}.nii.gz\t\t
case04\tpatient03\tvalidation\tcase04/{source}.nii.gz\tcase04/{target}.nii.gz\t\t
case05\tpatient04\ttest\tcase05/{source}.nii.gz\tcase05/{target}.nii.gz\tcase05/mask.nii.gz\tcase05/lesions.nii.gz
"""
"""A table to fill in. The two cases of one patient have one split; the columns `mask` and `labels` may be empty."""

_EXAMPLE = ("T1ce", "T1w")
"""Source and target of the example where the user states none: the task of the shipped models."""

_NAMES = {
    "T1ce": ("t1ce", "t1c", "t1gd", "t1post", "ce-gadolinium"),
    "T1w": ("t1", "t1w", "t1n", "t1nce", "t1pre"),
    "T2w": ("t2", "t2w"),
    "FLAIR": ("flair", "t2f"),
    "ADC": ("adc",),
    "CT": ("ct",),
}
"""Words in file names that state a contrast: those of BraTS, of BIDS, and usual ones."""


@dataclass(frozen=True)
class Contrasts:
    """What a table holds.

    Attributes:
        source, target: contrasts such as `T1ce`.
        more: additional sources.
    """

    source: str
    target: str
    more: tuple[str, ...] = ()


def contrasts_of(cases: Sequence[Case], *, source: str | None = None, target: str | None = None) -> Contrasts:
    """Returns the contrasts of a table, from the file names; a source with air below -500 is a CT.

    Args:
        cases: the rows.
        source: contrast of the source, if the user states it.
        target: contrast of the target, if the user states it.

    Raises:
        UsageError: `CONTRAST` when the names of the files state no contrast, or several; `TARGET_CT`.
        InputRefused: the first source cannot be read.
    """
    sources = [case.source for case in cases if case.source != ABSENT]
    targets = [case.target for case in cases if case.target != ABSENT]
    first = source or ("CT" if _is_ct(sources) else _only([contrast_in_name(path) for path in sources], "source"))
    second = target or _only([contrast_in_name(path) for path in targets], "target")
    if second == "CT":
        raise UsageError(
            "TARGET_CT", "no recipe translates to CT: the result would not be in Hounsfield units; use CT as the source"
        )
    if {first, second} == {"T1ce", "T1w"}:  # the same sequence without contrast agent, as recipes name it
        first, second = (name.replace("T1w", "T1nce") for name in (first, second))
    names = {second, CONTRAST_ALIASES.get(second, second)}
    return Contrasts(first, second, tuple(sorted({name for case in cases for name in case.more} - names)))


def example_contrasts(source: str | None = None, target: str | None = None) -> Contrasts:
    """Returns the contrasts of an example table; one that the user leaves out is T1ce or T1w, other than the stated.

    Raises:
        UsageError: `TARGET_CT`.

    Example:
        >>> [(found.source, found.target) for found in (example_contrasts("CT"), example_contrasts(target="T1ce"))]
        [('CT', 'T1w'), ('T1nce', 'T1ce')]
    """
    first, second = _EXAMPLE
    if source is None:
        source = second if target == first else first
    if target is None:
        target = first if source in (second, "T1nce") else second
    return contrasts_of([], source=source, target=target)


def example_table(contrasts: Contrasts) -> str:
    """Returns a table to fill in, whose files have the names of the contrasts.

    Args:
        contrasts: see `example_contrasts`.
    """
    names = [_file_name(contrast) for contrast in (contrasts.source, contrasts.target)]
    source, target = names if names[0] != names[1] else ("source", "target")
    return _EXAMPLE_TABLE.format(source=source, target=target)


def _file_name(contrast: str) -> str:
    """Returns the usual name of the file of a contrast, without ending, such as `t1` for T1nce."""
    known = next((names[0] for name, names in _NAMES.items() if contrast == name or contrast.lower() in names), None)
    return known or re.sub(r"[^a-z0-9]+", "_", contrast.lower()).strip("_") or "scan"


def contrast_in_name(path: Path) -> str | None:
    """Returns the contrast that a file name states, or None.

    Example:
        >>> [contrast_in_name(Path(name)) for name in ("x-t1c.nii.gz", "sub-1_ce-gadolinium_T1w.nii.gz", "a.nii")]
        ['T1ce', 'T1ce', None]
    """
    stated = contrast_of(path)
    words = set(re.split(r"[^a-z0-9]+", path.name.lower()))
    found = [contrast for contrast, names in _NAMES.items() if words & set(names)]
    return stated or (found[0] if len(found) == 1 else None)


def recipe_text_for(table: Path, cases: Sequence[Case], contrasts: Contrasts, *, file: Path) -> str:
    """Returns a recipe with comments.

    Args:
        table: of the cases; the recipe names its folder and its name.
        cases: its rows.
        contrasts: see `contrasts_of`.
        file: where the recipe will be, for the command in its header.
    """
    counts = Counter(case.split for case in cases)
    numbers = ", ".join(f"{counts[split]} {split}" for split in ("train", "validation", "test"))
    kept = "best on the validation cases" if counts["validation"] else "last, as there is no validation case"
    name = f"{contrasts.source}_to_{contrasts.target}".lower()
    return f"""# {contrasts.source} -> {contrasts.target}; cases: {numbers}. Written by voxlate init.
#
{_commands(table, cases, file)}
#
# Every other key, its meaning and its default: docs/reference/recipe.md and the classes of voxlate.bundle.settings.
name: {_quoted(name)}
source: {_quoted(contrasts.source)}
target: {_quoted(contrasts.target)}
{_more_line(contrasts.more)}{_data_kind_line(cases)}
data:
  root: {_quoted(table.parent.as_posix())}
  cases: {_quoted(table.name)}          # paths in the table are relative to its folder
{_preparation(contrasts)}
model: {{name: translator, arguments: {{width: 24}}}}   # a smaller width trains faster
loss: {{l1: 1.0, gradient: 0.25}}                      # weights of the losses; all of them: docs/reference/networks.md
{_augmentation(contrasts)}
training:
  steps: 2000                 # optimiser steps; this and the values below were chosen by hand, not tuned
  batch: 2
  window: [64, 64, 64]        # voxels; a larger window shows more of the head and takes more memory
  learning_rate: 0.001
  validate_every: 200         # steps; the weights of the bundle are the {kept}
{_changed(contrasts)}"""


def next_commands(table: Path, cases: Sequence[Case], recipe: Path) -> list[str]:
    """Returns the commands that lead from a table and its recipe to a model; a prepared table needs no preparation.

    Args:
        table: of the cases.
        cases: its rows; `voxlate prepare` gives each a mask of its target.
        recipe: written for the table.
    """
    if any(case.target_mask is not None for case in cases):
        return [f"voxlate train {recipe.as_posix()} runs/mine"]
    return [
        f"voxlate prepare {table.as_posix()} prepared",
        f"voxlate train {recipe.as_posix()} runs/mine --data prepared",
    ]


def _commands(table: Path, cases: Sequence[Case], file: Path) -> str:
    return "\n".join(f"#   {command}" for command in next_commands(table, cases, file))


def _quoted(text: str) -> str:
    """Returns a text for YAML; quotes keep a name such as `no` or `a: b` a text."""
    is_plain = re.fullmatch(r"[A-Za-z][\w./-]*|\.", text) and parse_yaml(text) == text  # `no` is read as false
    return text if is_plain else "'" + text.replace("'", "''") + "'"


def _more_line(more: Iterable[str]) -> str:
    names = ", ".join(_quoted(name) for name in more)
    return f"more_sources: [{names}]   # further inputs of the network, on the grid of the source\n" if names else ""


def _data_kind_line(cases: Sequence[Case]) -> str:
    """Returns the kind of the scans: that of all cases, else to be filled in."""
    kinds = {case.data_kind for case in cases}
    if kinds in ({"real"}, {"simulated"}):
        return f"data_kind: {kinds.pop():<18} # printed in card and reports"
    return "data_kind: unknown            # write real or simulated; printed in card and reports"


def _preparation(contrasts: Contrasts) -> str:
    if contrasts.source == "CT":
        return """preparation:
  brain_mask: ct              # for cases without a mask
  range_hu: [-20, 100]        # the window of the brain, as Li et al. 2022
  target_reference: median_in_mask"""
    return "# preparation: {bias: true}  # corrects the bias field of both images, with the extra voxlate[prepare]"


def _augmentation(contrasts: Contrasts) -> str:
    if contrasts.source == "CT":
        return "augmentation: {contrast: 0, gain: 0, noise: 0.01}     # Hounsfield units are fixed"
    if (contrasts.source, contrasts.target) == ("T1ce", "T1nce"):
        return (
            "augmentation: {contrast: 0.5, source_contrast: 0.1, graft: 0.35, unenhanced: 0.1}\n"
            "# graft: enhancement added to the target; unenhanced: a source without any, which must stay as it is"
        )
    return "augmentation: {contrast: 0.3, source_contrast: 0.1}"


def _changed(contrasts: Contrasts) -> str:
    if {contrasts.source, contrasts.target} != {"T1ce", "T1nce"}:
        return ""
    return """  changed_share: 0.35         # share of windows centred on a voxel that the contrast agent changes
  changed_weight: 3.0         # weight of such voxels in the loss
"""


def _only(found: Sequence[str | None], role: str) -> str:
    """Returns the one contrast that all names state."""
    stated = sorted({name for name in found if name is not None})
    if len(stated) == 1 and None not in found:
        return stated[0]
    reason = f"state {' and '.join(stated)}" if len(stated) > 1 else "do not all state a contrast"
    raise UsageError(
        "CONTRAST", f"the names of the {role} files {reason}; pass --{role} with the contrast, such as T1ce"
    )


def _is_ct(sources: Sequence[Path]) -> bool:
    """Returns whether the first source that exists is a CT by its voxels."""
    existing = next((path for path in sources if path.is_file()), None)
    return existing is not None and looks_like_ct(read_volume(existing))


def table_in(where: Path) -> Path:
    """Returns the table of a project that is named by its table or by its folder."""
    return where if where.suffix == ".tsv" or where.is_file() else where / DEFAULT_TABLE


def start_project(
    where: Path,
    recipe: Path | None = None,
    *,
    source: str | None = None,
    target: str | None = None,
    rows: Sequence[Case] = (),
) -> list[Path]:
    """Writes a recipe for a table of cases; for a folder without a table, an example of one first.

    Args:
        where: a table (`.tsv`), or a folder that holds or gets `cases.tsv`.
        recipe: the recipe to write; `recipe.yaml` beside the table without it.
        source: contrast of the source; by default the file names state it; see `example_contrasts` for a new folder.
        target: contrast of the target, likewise.
        rows: of a new table, such as the pairs that `voxlate.bundle.scan_search.find_pairs` found.

    Returns:
        What was written.

    Raises:
        UsageError: `INIT_ORDER` when a recipe stands in the place of the table, or the reverse;
            `FILE_EXISTS` when the recipe exists, or a table although there are rows for a new one; what
            `contrasts_of` raises.
        NoInput, InputRefused: the table does not exist, or cannot be read.
    """
    wrong = where if where.suffix in (".yaml", ".yml") else None
    wrong = recipe if recipe is not None and recipe.suffix == ".tsv" else wrong
    if wrong is not None:
        raise UsageError(
            "INIT_ORDER", f"{wrong.name} is in the wrong place; name the table first: voxlate init cases.tsv my.yaml"
        )
    table = table_in(where)
    file = recipe or table.with_name("recipe.yaml")
    for path in (file, table) if rows else (file,):
        if path.exists():
            raise UsageError("FILE_EXISTS", f"{path.name} exists and is kept; name another file, or move it away")
    written = []
    contrasts = None
    if rows:
        contrasts = contrasts_of(rows, source=source, target=target)
        write_cases(table, rows)
        written.append(table)
    elif table != where and not table.exists():
        contrasts = example_contrasts(source, target)
        write_text(table, example_table(contrasts))
        written.append(table)
    cases = read_cases(table)
    contrasts = contrasts or contrasts_of(cases, source=source, target=target)
    write_text(file, recipe_text_for(table, cases, contrasts, file=file))
    return [*written, file]
