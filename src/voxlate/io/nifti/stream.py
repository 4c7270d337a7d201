"""The bytes of one NIfTI file in order, the same way whether it is gzipped or not."""

from __future__ import annotations

import errno
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from voxlate.errors import InputRefused, NoInput, TemporaryFailure
from voxlate.io.log import warn

GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_MAX_RATIO = 1032
"""Deflate spends at least two bits on 258 bytes, so no stream grows by more (zlib's technical details)."""

_CHUNK_BYTES = 1 << 18
_GZIP_ONLY = 31  # zlib's window bits for a gzip header and trailer
_TEMPORARY_ERRNOS = {errno.EIO, errno.ESTALE, errno.ENOMEM, errno.ETIMEDOUT}


def nifti_suffix(path: Path) -> str:
    """Returns `.nii` or `.nii.gz`, whichever the name ends in, in either case of letters; else nothing."""
    name = path.name.lower()
    return next((suffix for suffix in (".nii", ".nii.gz") if name.endswith(suffix)), "")


def nifti_stem(path: Path) -> str:
    """Returns the name without `.nii` or `.nii.gz`; another name as it is."""
    return next((path.name.removesuffix(end) for end in (".nii.gz", ".nii") if path.name.endswith(end)), path.name)


def sidecar_path(path: Path) -> Path:
    """Returns the place of the JSON beside a NIfTI file, or beside a folder of DICOM."""
    return path.with_name(nifti_stem(path) + ".json")


class GzipReader:
    """The decompressed bytes of a gzip file of one or more members.

    Never inflates more than it is asked for. A reader that stops early has proved nothing: only when
    `readinto` returns 0 are all lengths and checksums known to be right. Zeros after the last member
    are padding.

    Raises:
        InputRefused: `GZIP_TRUNCATED` when the file ends inside a member, `GZIP_CRC` when its bytes changed.
    """

    def __init__(self, compressed: BinaryIO, *, name: str) -> None:
        self._compressed = compressed
        self._name = name
        self._waiting = b""
        self._member = zlib.decompressobj(_GZIP_ONLY)
        self._at_end = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Writes up to `len(buffer)` bytes into it and returns how many; 0 only at the proved end."""
        while not self._at_end:
            inflated = self._inflate(len(buffer))
            if self._member.eof:
                self._open_next_member()
            if inflated:
                buffer[: len(inflated)] = inflated
                return len(inflated)
        return 0

    def _inflate(self, limit: int) -> bytes:
        compressed = self._waiting or self._compressed.read(_CHUNK_BYTES)
        try:
            inflated = self._member.decompress(compressed, limit)
        except zlib.error as error:
            raise InputRefused("GZIP_CRC", f"{self._name} is damaged ({error}); copy it again") from error
        self._waiting = self._member.unconsumed_tail
        if not compressed and not inflated and not self._member.eof:
            raise InputRefused("GZIP_TRUNCATED", f"{self._name} ends in the middle of its gzip data; copy it again")
        return inflated

    def _open_next_member(self) -> None:
        rest = self._member.unused_data.lstrip(b"\0")
        while not rest and (chunk := self._compressed.read(_CHUNK_BYTES)):
            rest = chunk.lstrip(b"\0")
        self._waiting = rest
        self._at_end = not rest
        self._member = zlib.decompressobj(_GZIP_ONLY)


class ScanBytes:
    """The bytes of a scan, gunzipped where the file's first two bytes say so.

    Attributes:
        name: the file's name, for messages.
        is_gzip: whether the file is gzipped, whatever it is called.
        most_bytes: no more bytes than this can come out of the file.
    """

    def __init__(self, file: FileIO, *, name: str, size_bytes: int) -> None:
        self.name = name
        self.is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        self.most_bytes = size_bytes * (DEFLATE_MAX_RATIO if self.is_gzip else 1)
        self._stream = GzipReader(file, name=name) if self.is_gzip else file

    def fill(self, buffer: memoryview) -> int:
        """Reads into `buffer` until it is full or the file ends; returns the bytes read."""
        filled = 0
        while filled < len(buffer) and (count := self._stream.readinto(buffer[filled:])):
            filled += count
        return filled

    def take(self, count: int) -> bytes:
        """Returns the next `count` bytes, fewer only at the end of the file."""
        buffer = bytearray(count)
        return bytes(buffer[: self.fill(memoryview(buffer))])


@contextmanager
def opened(path: Path, *, is_glance: bool = False) -> Iterator[ScanBytes]:
    """Opens a `.nii` or `.nii.gz` for reading, and words what the system says while the block reads.

    Warns `EXTENSION` when the name promises gzip and the file is none, or the reverse, unless it is only a glance.

    Raises:
        NoInput: `NO_INPUT` when the file is not there.
        InputRefused: `FORMAT` (another suffix), `UNREADABLE` (a folder, a pipe, no permission), `EMPTY`.
        TemporaryFailure: `IO` (the disk or the network failed), `MEMORY`.
    """
    suffix = nifti_suffix(path)
    if not suffix:
        raise InputRefused("FORMAT", f"{path.name} is neither .nii nor .nii.gz; convert it, for example with dcm2niix")
    with _wording(path.name):
        size_bytes = _require_readable(path)
        with path.open("rb", buffering=0) as file:
            source = ScanBytes(file, name=path.name, size_bytes=size_bytes)
            if source.is_gzip != (suffix == ".nii.gz") and not is_glance:
                truth = "gzipped" if source.is_gzip else "not gzipped"
                warn("EXTENSION", f"a scan is {truth}, against its name; it is read as it is")
            yield source


def _require_readable(path: Path) -> int:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise InputRefused("UNREADABLE", f"{path.name} is {what}; name one scan")
    if status.st_size == 0:
        raise InputRefused("EMPTY", f"{path.name} holds no byte; copy it again")
    return status.st_size


@contextmanager
def _wording(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NoInput("NO_INPUT", f"{name} does not exist") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in _TEMPORARY_ERRNOS:
            raise TemporaryFailure("IO", f"{name}: {reason}; run it again") from error
        raise InputRefused("UNREADABLE", f"{name} cannot be read: {reason}") from error
    except MemoryError as error:
        raise TemporaryFailure("MEMORY", f"{name} does not fit into memory; run fewer at a time") from error
