"""A file is there whole or not at all: written under a temporary name beside its place, flushed, renamed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from voxlate.errors import UsageError, writing

_CHUNK_BYTES = 1 << 20
_PARTIAL = ".partial-"
_ORPHAN_SECONDS = 24 * 3600


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path in the same folder that becomes `path` when the block ends without an error.

    The temporary name keeps the suffixes of `path`, as libraries choose a format by them. Folders are
    made as needed. On any error the temporary file is removed and `path` is left as it was.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    suffixes = "".join(path.suffixes[-2:])
    with writing(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_prefix(), suffix=suffixes, dir=path.parent)
        os.close(handle)
        partial = Path(name)
        try:
            yield partial
            flush(partial)
            partial.chmod(0o666 & ~_umask())
            partial.replace(path)
            flush(path.parent)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `path` that takes its place when the block ends without an error.

    Raises:
        UsageError: `FOLDER_OCCUPIED` when something is there already.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError("FOLDER_OCCUPIED", f"{path.name} is not empty; name a new folder")
    with writing(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=_prefix(), dir=path.parent))
        try:
            yield partial
            for file in [*partial.rglob("*"), partial]:
                flush(file)
            partial.chmod(0o777 & ~_umask())
            partial.replace(path)
            flush(path.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def is_partial(path: Path) -> bool:
    """Tells whether a name is that of work in progress, which is nobody's result."""
    return path.name.startswith(_PARTIAL)


def remove_orphans(folder: Path) -> None:
    """Removes what killed processes left half written in a folder; what a living one writes stays.

    The name of a temporary file tells which process on which machine writes it. Of another machine, only what is older
    than a day goes, as whether its process lives cannot be seen from here.
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


@cache
def _machine() -> str:
    """Returns eight hexadecimal digits that tell this machine from others that see the same disk."""
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
    """Waits until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
