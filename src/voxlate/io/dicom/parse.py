"""Reads one file as a pydicom data set, or refuses it with a code that says what is wrong."""

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

from voxlate.errors import InputRefused, TemporaryFailure, VoxlateError, read_failure
from voxlate.io.log import warn

MAX_FILE_BYTES = 4 << 30  # far above any series; limits what a hostile file can cost; chosen by hand
UID = re.compile(r"[0-9.]{1,64}")
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_PROGRAMS = (b"MZ", b"\x7fELF", b"#!")  # first bytes of Windows programs, Linux programs and scripts
_DEFLATE_MAX_RATIO = 200
"""Largest ratio of inflated to deflated size. Images deflate to a half or a third, an empty one to a hundredth."""

_DEFLATE_FREE_BYTES = 64 << 20
"""Up to this size (64 MiB) any ratio is accepted, because so little memory does no harm."""

_DEFLATE_MAX_BYTES = 512 << 20  # no ratio allows more than this; chosen by hand


class NotDicom(Exception):
    """The file lacks the `DICM` mark with which a DICOM file begins."""


def file_label(file: Path | str) -> str:
    """Returns the label of a file in messages: its position in its folder, because file names can name patients.

    Text is returned unchanged.
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
    """Turns any error that pydicom raises for a damaged header into `InputRefused` with the code `UNREADABLE`.

    An error of the disk is no damage of the file; see `voxlate.errors.read_failure`.
    """
    try:
        yield
    except VoxlateError:
        raise
    except RecursionError as error:
        raise InputRefused("NESTING", f"{file_label(name)}: its sequences are nested too deeply") from error
    except MemoryError as error:
        raise TemporaryFailure("MEMORY", f"{file_label(name)} does not fit into memory") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise read_failure(error, file_label(name)) from error
        raise InputRefused(
            "UNREADABLE", f"{file_label(name)} is damaged ({type(error).__name__}); export it again"
        ) from error


def read_dataset(path: Path, *, with_pixels: bool = True, force: bool = False) -> Dataset:
    """Reads a DICOM file; elements are converted on access.

    Args:
        path: the file.
        with_pixels: also read the pixels, as they are stored.
        force: also read a file without the 128-byte preamble and the `DICM` mark.

    Raises:
        NotDicom: the file has no `DICM` mark.
        InputRefused: `EMPTY`, `UNREADABLE`, `TOO_LARGE`, `NESTING`, `LENGTH_INVALID`, `PIXEL_TRUNCATED`.
        TemporaryFailure: `MEMORY`, `IO`.
    """
    size, start = _size_and_start(path)
    if start[128:132] != b"DICM" and not force:
        raise NotDicom
    if start[128:132] == b"DICM" and start.startswith(_PROGRAMS):
        warn("PREAMBLE", f"{file_label(path)} begins like an executable program; its first 128 bytes are never copied")
    dataset = _parsed(path, with_pixels=with_pixels, force=force)
    with refusing_damage(path):
        _require_whole(dataset, path, size)
    return dataset


def _size_and_start(path: Path) -> tuple[int, bytes]:
    """Returns the size of a regular file and its first 132 bytes, which end with the mark `DICM`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would block until somebody writes
            raise InputRefused(
                "UNREADABLE", f"{file_label(path)} is not a regular file; give a DICOM file, folder or zip"
            )
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError as error:
        raise read_failure(error, file_label(path)) from error
    size = status.st_size
    if size == 0:
        raise InputRefused("EMPTY", f"{file_label(path)} is empty (0 bytes); export it again")
    if size > MAX_FILE_BYTES:
        raise InputRefused("TOO_LARGE", f"{file_label(path)} has {size:,} bytes, above {MAX_FILE_BYTES:,}; split it")
    return size, start


def _parsed(path: Path, *, with_pixels: bool, force: bool) -> Dataset:
    try:
        with refusing_damage(path):
            settings.reading_validation_mode = IGNORE  # never reset: its warnings would print values of the header
            return dcmread(_inflated(path) or path, stop_before_pixels=not with_pixels, force=force)
    except InputRefused as error:
        if isinstance(error.__cause__, InvalidDicomError):
            raise NotDicom from error
        if error.code != "UNREADABLE" or not with_pixels:
            raise
        _parsed(path, with_pixels=False, force=force)  # raises if the header is damaged
        raise InputRefused(
            "PIXEL_TRUNCATED", f"{file_label(path)} ends inside its pixel data; export it again"
        ) from error


def _inflated(path: Path) -> BytesIO | None:
    """Returns the inflated copy of a file with deflated transfer syntax, within the limits; None for any other file."""
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
        raise InputRefused(
            "TOO_LARGE", f"{file_label(path)} inflates to more than {limit:,} bytes, or is truncated; export it again"
        )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    buffer.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(buffer, meta, enforce_standard=True)
    buffer.write(content)
    return BytesIO(buffer.getvalue())


def _require_whole(dataset: Dataset, name: Path, size: int) -> None:
    """Refuses elements that are shorter than their stated length; pydicom accepts them silently."""
    for tag in dataset.keys():  # noqa: SIM118 (iterating over a data set converts every element)
        element = dataset.get_item(tag)
        if not isinstance(element, RawDataElement) or element.length == _UNDEFINED or element.value is None:
            continue
        if len(element.value) < element.length:
            if int(tag) == _PIXEL_DATA and element.length <= _expected_bytes(dataset) + 1:
                missing = element.length - len(element.value)
                raise InputRefused(
                    "PIXEL_TRUNCATED",
                    f"{file_label(name)}: {missing:,} bytes of its pixel data are missing; export it again",
                )
            raise InputRefused(
                "LENGTH_INVALID",
                f"{file_label(name)}: an element states {element.length:,} bytes in a file of {size:,}",
            )


def _expected_bytes(dataset: Dataset) -> int:
    try:
        count = int(dataset.get("NumberOfFrames", 1) or 1) * int(dataset.get("SamplesPerPixel", 1) or 1)
        return count * int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    except (AttributeError, TypeError, ValueError):
        return 0
