"""Recipes, rules of cohorts and experiments that come with voxlate, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from voxlate.errors import NoInput, nearest

Kind = Literal["recipes", "cohorts", "experiments"]


def shipped_files(kind: Kind) -> dict[str, Path]:
    """Returns the YAML files of a kind by name, sorted; a file `recipes/li2022/faithful.yaml` is `li2022/faithful`.

    They are in the package when voxlate is installed from a wheel, and beside `src` in a working tree.

    Args:
        kind: folder of the files.
    """
    package = Path(str(resources.files("voxlate")))
    installed, working_tree = package / "share" / kind, package.parents[1] / kind
    folder = installed if installed.is_dir() else working_tree
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def find_shipped(kind: Kind, name: str | Path, *, what: str) -> Path:
    """Returns the path of a file given by its path or by the name of a shipped one.

    Args:
        kind: folder of the files.
        name: a path, or a name such as `bottani2024/faithful`.
        what: kind of file, for the message when it does not exist.

    Raises:
        NoInput: `NO_INPUT`, with the most similar name.
    """
    path = Path(name)
    if path.is_file():
        return path
    files = shipped_files(kind)
    if str(name) in files:
        return files[str(name)]
    hint = nearest(str(name), files)
    raise NoInput("NO_INPUT", f"{name}: no such file, and no {what} of this name{hint}; there are: {', '.join(files)}")
