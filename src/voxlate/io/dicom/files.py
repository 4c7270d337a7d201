"""Finds the files below a folder or in a zip archive, without following links or names that lead outside."""

from __future__ import annotations

import calendar
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from voxlate.errors import InputRefused, NoInput, VoxlateError, read_failure, writing
from voxlate.io.log import warn

SUFFIXES = (".dcm", ".dicom", ".ima")
"""A file with one of these suffixes is meant to be DICOM; if it cannot be read, part of the input is missing."""

# Limits against decompression bombs: far above any real study, and small enough for a disk. Chosen by hand.
MAX_MEMBERS = 100_000
MAX_ARCHIVE_BYTES = 16 << 30
MAX_ARCHIVE_RATIO = 200
_CHUNK_BYTES = 1 << 20


_RECOVERED = "lost+found"
"""Folder at the top of a Linux file system that only the administrator can read, and that holds no scan."""


@dataclass(frozen=True)
class Unread:
    """A part of the input that may hold images and was not read.

    Attributes:
        path: a folder that cannot be read, or a link with the name of an image that leads nowhere or out of the input.
        error: why.
        is_folder: whether it is a folder.
    """

    path: Path
    error: VoxlateError
    is_folder: bool

    @property
    def parent(self) -> Path:
        """Returns the folder that it lies in."""
        return self.path.parent

    @property
    def name(self) -> str:
        """Returns its name without the folder."""
        return self.path.name


@contextmanager
def dicom_files(path: Path) -> Iterator[list[Path | Unread]]:
    """Yields what `walk` finds at or below `path`; a zip archive is unpacked while the block runs.

    Raises:
        NoInput: `NO_INPUT` when there is no file.
        InputRefused, TemporaryFailure, CannotWrite: see `unpacked_files`.
    """
    if not path.exists():
        raise NoInput("NO_INPUT", f"{path.name} does not exist")
    if is_archive(path):
        with unpacked_files(path) as unpacked:
            yield list(unpacked)
        return
    files = list(walk(path, path.resolve())) if path.is_dir() else [path]
    if not files:
        raise NoInput("NO_INPUT", f"{path.name}: no file found")
    yield sorted(files, key=lambda each: each.path if isinstance(each, Unread) else each)


def is_archive(path: Path) -> bool:
    """Returns whether a path is a zip archive; a truncated one has lost the table at its end, but begins like one."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04" or zipfile.is_zipfile(path)


@contextmanager
def unpacked_files(archive: Path) -> Iterator[list[Path]]:
    """Yields the files of a zip archive, unpacked while the block runs.

    They get new names, so that no archive can write outside the temporary folder. An unchanged archive gives the same
    names, sizes and modification times each time, and a member with other content another time.

    Raises:
        NoInput: `NO_INPUT` when the archive is empty.
        InputRefused: `ARCHIVE` for a zip that is damaged, encrypted or too large, has too many members, or has a
            member whose name leads outside.
        TemporaryFailure, CannotWrite: the zip cannot be unpacked.
    """
    with tempfile.TemporaryDirectory(prefix="voxlate-") as folder:
        with writing("the unpacked archive"):
            unpacked = _unpacked(archive, Path(folder))
        yield unpacked


def walk(folder: Path, root: Path) -> Iterator[Path | Unread]:
    """Yields the regular files below `folder`, sorted by name, and what may hold images and is not read.

    Links that lead out of `root`, links to folders, pipes and devices are ignored (warning `UNREADABLE`). A link with
    the name of an image (`SUFFIXES`) is yielded as `Unread`, as is a folder that cannot be read: a series may lack the
    images that they hold.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        warn("UNREADABLE", f"a folder cannot be read: {error.strerror}")
        if folder.name != _RECOVERED:
            yield Unread(folder, read_failure(error, "a folder of the input"), is_folder=True)
        return
    for entry in entries:
        path = Path(entry.path)
        kind = _kind(entry)
        if kind == "link":
            target = _inside(path, root)
            if target is None or not target.is_file():
                warn("UNREADABLE", "a link to a folder, to nothing or out of the input is ignored")
                if path.suffix.lower() in SUFFIXES and not path.is_dir():
                    yield Unread(path, _not_followed(), is_folder=False)
                continue
            yield path
        elif kind == "folder":
            yield from walk(path, root)
        elif kind == "file":
            yield path
        else:
            warn("UNREADABLE", "a pipe, a socket or a device is ignored")


def _not_followed() -> InputRefused:
    return InputRefused(
        "UNREADABLE", "a link with the name of an image leads out of the input or nowhere; copy its file there"
    )


def _kind(entry: os.DirEntry[str]) -> str:
    """Returns `link`, `folder`, `file` or `other`; whoever reads what cannot be told apart will say why."""
    try:
        if entry.is_symlink():
            return "link"
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        return "file" if entry.is_file(follow_symlinks=False) else "other"
    except OSError:
        return "file"


def _inside(link: Path, root: Path) -> Path | None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # a circular or broken link
        return None
    return target if target.is_relative_to(root) else None


def _unpacked(archive: Path, folder: Path) -> list[Path]:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _require_harmless(members, archive)
            parents = {parent: k for k, parent in enumerate(sorted({_parent(member) for member in members}))}
            paths = []
            for number, member in enumerate(members):
                suffix = PurePosixPath(member.filename).suffix.lower()
                path = (
                    folder / f"{parents[_parent(member)]:05d}" / f"{number:06d}{suffix if suffix in SUFFIXES else ''}"
                )
                path.parent.mkdir(exist_ok=True)
                _unpack(opened, member, path)
                paths.append(path)
    except (
        zipfile.BadZipFile,
        zlib.error,
        LZMAError,
        RuntimeError,
        NotImplementedError,
        EOFError,
        ValueError,
    ) as error:
        raise InputRefused("ARCHIVE", f"{archive.name} cannot be unpacked: {error}") from error
    except OSError as error:
        if error.errno is not None:  # the disk; bzip2 raises the same error without a number for damaged bytes
            raise
        raise InputRefused("ARCHIVE", f"{archive.name} cannot be unpacked: {error}") from error
    if not paths:
        raise NoInput("NO_INPUT", f"{archive.name}: the archive is empty")
    return sorted(paths)


def _parent(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).parent.as_posix()


def _require_harmless(members: list[zipfile.ZipInfo], archive: Path) -> None:
    fault = ""
    stored, size = archive.stat().st_size, sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS:
        fault = f"it has {len(members):,} members, the limit is {MAX_MEMBERS:,}"
    elif size > MAX_ARCHIVE_BYTES or size > MAX_ARCHIVE_RATIO * max(stored, 4096):
        fault = f"its {stored:,} bytes unpack to {size:,}"
    elif _overlap(members):
        fault = "its members overlap"
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if not name.parts:
            fault = "a member has no name"
        elif name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            fault = "the name of a member leads outside"
        elif stat.S_ISLNK(member.external_attr >> 16):
            fault = "a member is a link"
    if fault:
        raise InputRefused("ARCHIVE", f"{archive.name} is not unpacked: {fault}")


def _overlap(members: list[zipfile.ZipInfo]) -> bool:
    """Returns whether members share bytes of the archive, a trick by which a small archive unpacks to a large one."""
    ends = sorted((member.header_offset, member.header_offset + member.compress_size) for member in members)
    return any(start < end for (_, end), (start, _) in pairwise(ends))


def _unpack(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Writes one member; zipfile itself never reads more than the stated size, and verifies the checksum."""
    with opened.open(member) as source, path.open("wb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            target.write(chunk)
    changed_ns = _time_ns(member)
    os.utime(path, ns=(changed_ns, changed_ns))


def _time_ns(member: zipfile.ZipInfo) -> int:
    """Returns a modification time that is the same each time an archive is unpacked.

    It is the time that the archive states. Its steps are 2 s, and many programs state one constant time; the checksum
    of the content as the fraction of a second tells versions of a file apart.
    """
    try:
        seconds = max(0, calendar.timegm((*member.date_time, 0, 0, 0)))
    except ValueError:  # a month 0
        seconds = 0
    return seconds * 1_000_000_000 + member.CRC % 1_000_000_000
