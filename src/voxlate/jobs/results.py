"""What an earlier run wrote for a case, and whether it can be used again.

A result is used again when it was made from the same inputs with the same settings and none of its files has changed
since; hashes decide both. Whether a file exists, and its time, prove neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from voxlate.io.atomic import sha256
from voxlate.io.documents import read_object
from voxlate.jobs.processes import parallel_map

T = TypeVar("T")
R = TypeVar("R")


def read_result(path: Path, **expected: Any) -> dict[str, Any] | None:
    """Returns the result file of a case when it holds the expected values, or None.

    Args:
        path: JSON file of the case.
        expected: values that the file must hold by key, for example the hash of the inputs.
    """
    content = read_object(path)
    if not content or any(name not in content or content[name] != value for name, value in expected.items()):
        return None
    return content


def hash_files(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Returns the SHA-256 of files by their paths below `root`."""
    return {name: sha256(root / name) for name in names}


def are_unchanged(root: Path, hashes: Mapping[str, str]) -> bool:
    """Returns whether all files below `root` exist with these hashes."""
    return all((root / name).is_file() and sha256(root / name) == value for name, value in hashes.items())


def hash_inputs(paths: Mapping[str, Path]) -> dict[str, str]:
    """Returns the SHA-256 of the files that exist, by the role of each."""
    return {role: sha256(path) for role, path in paths.items() if path.is_file()}


def hash_tree(path: Path) -> str:
    """Returns a hash of a file, or of the names and contents of all files in a folder.

    Anything else (a missing path, a pipe, a device) has an empty hash and is not read.

    Raises:
        OSError: a file cannot be read.
    """
    if path.is_file():
        return sha256(path)
    if not path.is_dir():
        return ""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(path).as_posix()}:{sha256(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def resume(work: Callable[[T], R], items: Iterable[T], finished: Callable[[T], R | None], *, jobs: int) -> Iterator[R]:
    """Yields the results of the items that an earlier run finished, then those of all others as they come.

    Args:
        work: a function that can be pickled, or a partial of one.
        items: what it is called with.
        finished: returns the result of an item that needs no work, or None.
        jobs: number of processes.

    Raises:
        UsageError: `JOBS` when `jobs` is below 1.
        TemporaryFailure: `KILLED` when a process died.
    """
    remaining = []
    for item in items:
        result = finished(item)
        if result is None:
            remaining.append(item)
        else:
            yield result
    yield from parallel_map(work, remaining, jobs=jobs)
