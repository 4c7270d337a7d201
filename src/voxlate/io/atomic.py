"""Writes files atomically: under a temporary name in the same folder, flushed to disk, then renamed.

A reader sees the old file or the whole new one, never a part.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from voxlate.errors import UsageError, writing

_CHUNK_BYTES = 1 << 20  # bounds memory while hashing; chosen by hand; not tuned
_PARTIAL = ".partial-"
_ORPHAN_SECONDS = 24 * 3600  # longer than writing any file takes; chosen by hand


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder; it is renamed to `path` when the block ends without an error.

    The temporary name keeps the suffixes of `path`, because libraries choose a format by them. Missing folders are
    created. On an error the temporary file is removed and `path` stays as it was.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    suffixes = "".join(path.suffixes[-2:])
    with writing(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _free_name(path.parent, suffixes)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            yield partial
            flush(partial)
            partial.replace(path)
            flush(path.parent)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it is renamed to `path` when the block ends without an error.

    Raises:
        UsageError: `FOLDER_OCCUPIED` when `path` is a file or a folder that is not empty.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    require_free_folder(path)
    with writing(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _free_name(path.parent)
        partial.mkdir()
        try:
            yield partial
            for file in [*partial.rglob("*"), partial]:
                flush(file)
            partial.replace(path)
            flush(path.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def require_free_folder(path: Path) -> None:
    """Refuses a path that `replacing_folder` would not replace.

    Raises:
        UsageError: `FOLDER_OCCUPIED` when `path` is a file or a folder that is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError("FOLDER_OCCUPIED", f"{path.name} is not empty; name a new folder")


def is_partial(path: Path) -> bool:
    """Returns whether a file is a temporary one of `replacing` or `replacing_folder`, and so not a result."""
    return path.name.startswith(_PARTIAL)


def remove_orphans(folder: Path) -> None:
    """Removes the temporary files that killed processes left in a folder.

    The name of a temporary file holds its process and its machine. Files of running processes stay. Files of another
    machine are removed after a day, because this machine cannot see whether their process still runs.
    """
    for path in folder.glob(f"{_PARTIAL}*") if folder.is_dir() else []:
        if not _is_orphan(path):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _prefix() -> str:
    return f"{_PARTIAL}{_machine()}-{os.getpid()}-"


def _free_name(folder: Path, suffixes: str = "") -> Path:
    """Returns a new temporary path. What is created there gets the permissions that the umask allows.

    `tempfile` would create it for this user alone; to widen that, the umask must be set to be read, which other threads
    would notice.
    """
    return folder / f"{_prefix()}{secrets.token_hex(8)}{suffixes}"


@cache
def _machine() -> str:
    """Returns eight hexadecimal digits that identify this machine among those that share a disk."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_orphan(path: Path) -> bool:
    machine, _, rest = path.name.removeprefix(_PARTIAL).partition("-")
    process = rest.partition("-")[0]
    if machine == _machine() and process.isdigit():
        return not _is_alive(int(process))
    with suppress(OSError):
        return time.time() - path.lstat().st_mtime > _ORPHAN_SECONDS
    return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically, keys in the order given, two spaces deep, with a last newline."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Returns JSON, keys in the order given, two spaces deep, with a last newline; NaN is an error."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def flush(path: Path) -> None:
    """Waits until a file, or the entries of a folder, are written to disk (fsync)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
