"""One file as a pydicom data set, or the code of what is wrong with it."""

from __future__ import annotations

import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.config import IGNORE, settings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from voxlate.errors import InputRefused, TemporaryFailure, VoxlateError
from voxlate.io.log import warn

MAX_FILE_BYTES = 4 << 30
UID = re.compile(r"[0-9.]{1,64}")
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_PROGRAMS = (b"MZ", b"\x7fELF", b"#!")
_DEFLATE_MAX_RATIO = 200
"""Inflated bytes to deflated ones. Images deflate to a half or a third, an empty one to a hundredth."""

_DEFLATE_FREE_BYTES = 64 << 20
"""Up to here any ratio is let pass: so little cannot hurt."""

_DEFLATE_MAX_BYTES = 512 << 20


class NotDicom(Exception):
    """The file does not begin as DICOM does."""


def told(file: Path | str) -> str:
    """Returns how a message calls a file of a series: by its place in its folder, as names of files name patients.

    Text stays as it is.
    """
    if isinstance(file, str):
        return file
    try:
        names = sorted(path.name for path in file.parent.iterdir())
        return f"file {names.index(file.name) + 1} of {len(names)} in its folder (by name)"
    except (OSError, ValueError):
        return "a file of the series"


@contextmanager
def refusing_damage(name: Path | str) -> Iterator[None]:
    """Refuses, as `UNREADABLE`, whatever pydicom raises while elements of a damaged header are looked at."""
    try:
        yield
    except VoxlateError:
        raise
    except RecursionError as error:
        raise InputRefused("NESTING", f"{told(name)}: sequences in sequences without end") from error
    except MemoryError as error:
        raise TemporaryFailure("MEMORY", f"{told(name)} does not fit into memory") from error
    except Exception as error:
        raise InputRefused(
            "UNREADABLE", f"{told(name)} is damaged ({type(error).__name__}); export it again"
        ) from error


def read_dataset(path: Path, *, with_pixels: bool = True, force: bool = False) -> Dataset:
    """Returns what a DICOM file holds; elements are converted when they are asked for.

    Args:
        path: the file.
        with_pixels: read also the pixels, which are left as they are stored.
        force: read also a file without the 128 bytes and the mark that begin a DICOM file.

    Raises:
        NotDicom: it has no such mark.
        InputRefused: `EMPTY`, `UNREADABLE`, `TOO_LARGE`, `NESTING`, `LENGTH_INVALID`, `PIXEL_TRUNCATED`.
        TemporaryFailure: `MEMORY`.
    """
    size = _require_readable(path)
    with path.open("rb") as stream:
        start = stream.read(132)
    if start[128:132] != b"DICM" and not force:
        raise NotDicom
    if start[128:132] == b"DICM" and start.startswith(_PROGRAMS):
        warn("PREAMBLE", f"{told(path)} begins like a program; its first 128 bytes are never copied")
    dataset = _parsed(path, with_pixels=with_pixels, force=force)
    with refusing_damage(path):
        _require_whole(dataset, path, size)
    return dataset


def _require_readable(path: Path) -> int:
    try:
        status = path.stat()
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
            raise InputRefused("UNREADABLE", f"{told(path)} is no regular file; name a DICOM file, folder or zip")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputRefused("UNREADABLE", f"{told(path)} cannot be read: {error.strerror}") from error
    if size == 0:
        raise InputRefused("EMPTY", f"{told(path)} holds no byte; export it again")
    if size > MAX_FILE_BYTES:
        raise InputRefused("TOO_LARGE", f"{told(path)} has {size:,} bytes; {MAX_FILE_BYTES:,} are read at most")
    return size


def _parsed(path: Path, *, with_pixels: bool, force: bool) -> Dataset:
    try:
        with refusing_damage(path):
            settings.reading_validation_mode = IGNORE  # for good: its warnings would tell values of the header
            return dcmread(_inflated(path) or path, stop_before_pixels=not with_pixels, force=force)
    except InputRefused as error:
        if isinstance(error.__cause__, InvalidDicomError):
            raise NotDicom from error
        if error.code != "UNREADABLE" or not with_pixels:
            raise
        _parsed(path, with_pixels=False, force=force)  # raises when the header is at fault
        raise InputRefused("PIXEL_TRUNCATED", f"{told(path)} ends within its pixels; export it again") from error


def _inflated(path: Path) -> BytesIO | None:
    """Returns a deflated file as one that is not, no larger than is allowed; None for any other."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_file_meta_info
    from pydicom.filewriter import write_file_meta_info

    try:
        meta = read_file_meta_info(path)
    except Exception:
        return None
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return None
    with path.open("rb") as stream:
        stream.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
        deflated = stream.read()
    limit = min(_DEFLATE_MAX_BYTES, max(_DEFLATE_FREE_BYTES, _DEFLATE_MAX_RATIO * len(deflated)))
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    content = inflater.decompress(deflated, limit)
    if not inflater.eof:
        raise InputRefused("TOO_LARGE", f"{told(path)} inflates to more than {limit:,} bytes, or is cut")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    buffer.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(buffer, meta, enforce_standard=True)
    buffer.write(content)
    return BytesIO(buffer.getvalue())


def _require_whole(dataset: Dataset, name: Path, size: int) -> None:
    """Refuses values that are shorter than the file says; pydicom takes what is there."""
    for tag in dataset.keys():  # noqa: SIM118 (iterating over a data set converts every element)
        element = dataset.get_item(tag)
        if not isinstance(element, RawDataElement) or element.length == _UNDEFINED or element.value is None:
            continue
        if len(element.value) < element.length:
            if int(tag) == _PIXEL_DATA and element.length <= _expected_bytes(dataset) + 1:
                missing = element.length - len(element.value)
                raise InputRefused("PIXEL_TRUNCATED", f"{told(name)}: {missing:,} bytes of its pixels are missing")
            raise InputRefused(
                "LENGTH_INVALID", f"{told(name)}: an element of {element.length:,} bytes in a file of {size:,}"
            )


def _expected_bytes(dataset: Dataset) -> int:
    try:
        count = int(dataset.get("NumberOfFrames", 1) or 1) * int(dataset.get("SamplesPerPixel", 1) or 1)
        return count * int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    except (AttributeError, TypeError, ValueError):
        return 0
