"""Opens NIfTI files and reads their bytes, gzipped or not, with every gzip checksum verified."""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from voxlate.errors import InputRefused, NoInput, TemporaryFailure, read_failure
from voxlate.io.log import warn

GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_MAX_RATIO = 1032
"""Deflate needs at least two bits for 258 bytes, so that no stream expands by more (zlib's technical details)."""

_CHUNK_BYTES = 1 << 18  # of compressed bytes read at a time; chosen by hand; not tuned
_GZIP_ONLY = 31  # zlib's window bits for a gzip header and trailer


def nifti_suffix(path: Path) -> str:
    """Returns the suffix of a name, `.nii` or `.nii.gz` in lower case, or an empty string; upper case is accepted."""
    name = path.name.lower()
    return next((suffix for suffix in (".nii", ".nii.gz") if name.endswith(suffix)), "")


def nifti_stem(path: Path) -> str:
    """Returns the name without `.nii` or `.nii.gz`; a name with another suffix is returned unchanged."""
    return path.name[: len(path.name) - len(nifti_suffix(path))]


def sidecar_path(path: Path) -> Path:
    """Returns the path of the JSON sidecar of a NIfTI file, or of a DICOM folder."""
    return path.with_name(nifti_stem(path) + ".json")


class GzipReader:
    """Decompresses a gzip file of one or more members, and verifies the length and checksum of each.

    It never inflates more bytes than requested. All checksums are verified only once `readinto` has returned 0.
    Zeros after the last member are padding.

    Raises:
        InputRefused: `GZIP_TRUNCATED` when the file ends inside a member, `GZIP_CRC` when its bytes are damaged.
    """

    def __init__(self, compressed: BinaryIO, *, name: str) -> None:
        self._compressed = compressed
        self._name = name
        self._waiting = b""
        self._member = zlib.decompressobj(_GZIP_ONLY)
        self._at_end = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills up to `len(buffer)` bytes and returns their number; 0 only at the end, with all checksums verified."""
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
    """The bytes of a scan, decompressed if the file begins with the gzip magic number.

    Attributes:
        name: file name, for messages.
        is_gzip: whether the content is gzipped, whatever the name says.
        most_bytes: upper limit of the decompressed size.
    """

    def __init__(self, file: FileIO, *, name: str, size_bytes: int) -> None:
        self.name = name
        self.is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        self.most_bytes = size_bytes * (DEFLATE_MAX_RATIO if self.is_gzip else 1)
        self._stream = GzipReader(file, name=name) if self.is_gzip else file

    def fill(self, buffer: memoryview) -> int:
        """Reads into `buffer` until it is full or the file ends; returns the number of bytes read."""
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
    """Opens a `.nii` or `.nii.gz` file; system errors inside the block become errors of voxlate.

    Args:
        path: the file.
        is_glance: only the header is read; do not warn `EXTENSION` when name and content disagree about gzip.

    Raises:
        NoInput: `NO_INPUT` when the file does not exist.
        InputRefused: `FORMAT` (another suffix), `UNREADABLE` (a folder, a pipe, no permission), `EMPTY`.
        TemporaryFailure: `IO` (the disk or the network failed), `MEMORY`.
    """
    suffix = nifti_suffix(path)
    if not suffix:
        raise InputRefused("FORMAT", f"{path.name} is neither .nii nor .nii.gz; convert it, for example with dcm2niix")
    with _translated_errors(path.name):
        size_bytes = _require_readable(path)
        with path.open("rb", buffering=0) as file:
            source = ScanBytes(file, name=path.name, size_bytes=size_bytes)
            if source.is_gzip != (suffix == ".nii.gz") and not is_glance:
                truth = "gzipped" if source.is_gzip else "not gzipped"
                warn("EXTENSION", f"a scan is {truth}, although its name says otherwise; it is read by its content")
            yield source


def _require_readable(path: Path) -> int:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would block until somebody writes
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InputRefused("UNREADABLE", f"{path.name} is {what}; give the path of one scan")
    if status.st_size == 0:
        raise InputRefused("EMPTY", f"{path.name} is empty (0 bytes); copy it again")
    return status.st_size


@contextmanager
def _translated_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NoInput("NO_INPUT", f"{name} does not exist") from error
    except OSError as error:
        raise read_failure(error, name) from error
    except MemoryError as error:
        raise TemporaryFailure("MEMORY", f"{name} does not fit into memory; run fewer scans at a time") from error
