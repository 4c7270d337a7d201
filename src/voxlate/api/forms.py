"""Reads what the public functions accept in several forms: tables, recipes, models, scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.cases import SINGLE_SCANS, Case, check_cases, read_cases
from voxlate.errors import InputRefused
from voxlate.volume import Volume

if TYPE_CHECKING:
    from voxlate.bundle.bundle import Bundle
    from voxlate.bundle.recipe import Recipe

PathLike = str | Path


def recipe_of(recipe: Recipe | PathLike) -> Recipe:
    """Returns a recipe given as an object, a path, or the name of a shipped one."""
    from voxlate.bundle.recipe import read_recipe
    from voxlate.shipped import find_shipped

    if isinstance(recipe, str | Path):
        return read_recipe(find_shipped("recipes", recipe, what="recipe"))
    return recipe


def bundle_of(model: Bundle | PathLike) -> Bundle:
    """Returns a model given as an object, a path, or the name of a pretrained one."""
    from voxlate.bundle.pretrained import load_bundle

    return load_bundle(model) if isinstance(model, str | Path) else model


def volume_of(volume: Volume | PathLike, shows: str) -> Volume:
    """Returns a scan to translate, given as an object or a path; a file that is marked as synthetic is refused."""
    from voxlate.io.scans import read_scan

    return read_scan(Path(volume), shows=shows).volume if isinstance(volume, str | Path) else volume


def rows_of(cases: PathLike | Sequence[Case], *, paired: bool = True, single: bool = False) -> list[Case]:
    """Returns the rows of a table of cases, given as an object or a path; both are checked alike.

    Raises:
        NoInput, InputRefused: see `voxlate.cases.read_cases`.
    """
    if isinstance(cases, str | Path):
        return read_cases(cases, paired=paired, single=single)
    rows = check_cases(cases)
    lone = next((row.case for row in rows if paired and not row.is_pair), None)
    if lone is not None:
        raise InputRefused("CASES", f"{lone!r} lacks a source or a target; {SINGLE_SCANS}")
    return rows
