"""Reads one series as one volume, with the header fields that a derived series needs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from voxlate.errors import InputRefused
from voxlate.io.dicom.completeness import warn_if_incomplete
from voxlate.io.dicom.parse import file_label, read_dataset, refusing_damage
from voxlate.io.dicom.pixels import Stored, decode, decoded_elsewhere, is_compressed, require_pixels
from voxlate.io.dicom.planes import Plane, planes_of
from voxlate.io.dicom.series import DicomSeries
from voxlate.io.dicom.stacking import EXPORT_AGAIN, LEAST_SLICES, Stack, affine_of, stacks_of
from voxlate.io.log import warn
from voxlate.io.nifti import MAX_BYTES
from voxlate.volume import Affine, Array, Volume

log = logging.getLogger("voxlate")


@dataclass(frozen=True)
class DicomScan:
    """A volume read from DICOM.

    Attributes:
        volume: (columns, rows, slices), slices sorted along their normal; affine to RAS+ millimetres.
        planes: file and position of each slice.
        header: header of the first slice, without pixels.
        label: attributes that distinguish it from the other volumes of its series; empty if it is the only one.
        sha256: hash of the files of the series; independent of their order.
    """

    volume: Volume
    planes: tuple[Plane, ...]
    header: Dataset = field(repr=False)
    label: str = ""
    sha256: str = ""


def read_series(series: DicomSeries, *, shows: str = "", volume: int | None = None, force: bool = False) -> DicomScan:
    """Reads the volume of a series; value = stored value x slope + intercept, as float32.

    Args:
        series: see `voxlate.io.dicom.series.find_series`.
        shows: contrast of the scan, for `Volume.shows`.
        volume: number of the volume, from 1, if the series holds several.
        force: see `voxlate.io.dicom.parse.read_dataset`.

    Raises:
        InputRefused: `DicomSeries.fault`; `DUPLICATE_CONFLICT`; `SEVERAL_VOLUMES`; `SLICE_MISSING`; `CONSTANT`;
            what `planes_of`, `stacks_of`, `affine_of` and `require_pixels` refuse.
        TemporaryFailure: `MEMORY`, `IO`.
    """
    if series.fault is not None:
        if series.fault.code == "PATIENT_MIXED":
            log.error("PATIENT_MIXED one series carries the identifiers of several patients", extra={"security": True})
        raise series.fault
    with _naming_damage(series):
        files = _read_files(series.files, force=force)
        expected = sum(file.pixel_bytes for file in files.values())
        planes = [plane for path, file in files.items() for plane in planes_of(file.header, path)]
        stack = _chosen(stacks_of(planes), volume, series.number)
        name = f"series of {len(files)} files"
        affine = affine_of(stack, name)
    _report_damage(series)
    headers = {path: file.header for path, file in files.items()}
    warn_if_incomplete(stack, headers, len(planes), name)
    shape = stack.planes[0].shape
    if shape[0] * shape[1] * len(stack.planes) * 4 > MAX_BYTES:
        raise InputRefused(
            "TOO_LARGE", f"{name}: {shape} by {len(stack.planes)} voxels exceed {MAX_BYTES >> 30} GiB; split it"
        )
    data = _voxels(stack, headers, expected, force=force)
    if data.min() == data.max():
        raise InputRefused("CONSTANT", f"{name}: every voxel is {data.flat[0]:g}")
    first = headers[stack.planes[0].path]
    digest = hashlib.sha256(b"".join(sorted(file.digest for file in files.values()))).hexdigest()
    return DicomScan(Volume(data, affine, shows, _stored_dtype(stack, first)), stack.planes, first, stack.label, digest)


@dataclass(frozen=True)
class _File:
    """A header without its pixels, the size of the decoded pixels, and the hash of the file."""

    header: Dataset
    pixel_bytes: int
    digest: bytes


def _read_files(files: Sequence[Path], *, force: bool) -> dict[Path, _File]:
    """Returns the header of each file, without exact duplicates."""
    kept: dict[str, tuple[Path, bytes]] = {}
    unique = {}
    dropped = 0
    for path in files:
        with refusing_damage(path):
            header, size, uid = _header(path, force=force)
        digest = hashlib.sha256(path.read_bytes()).digest()
        if uid in kept:
            if kept[uid][1] != digest:
                raise InputRefused(
                    "DUPLICATE_CONFLICT",
                    f"{file_label(path)} and {file_label(kept[uid][0])} have the same UID but different content",
                )
            dropped += 1
            continue
        kept[uid] = (path, digest)
        unique[path] = _File(header, size, digest)
    if dropped:
        warn("DUPLICATE_DROPPED", f"{dropped} files are exact duplicates and are ignored")
    return unique


def _header(path: Path, *, force: bool) -> tuple[Dataset, int, str]:
    """Returns a header, the size of its decoded pixels in bytes, and its SOP instance UID (or path)."""
    dataset = read_dataset(path, force=force)
    is_grey = dataset.get("Rows") is not None and int(dataset.get("SamplesPerPixel") or 1) == 1
    size = require_pixels(dataset, path) if is_grey else 0
    if "PixelData" in dataset:
        del dataset.PixelData
    return dataset, size, str(dataset.get("SOPInstanceUID") or path)


def _chosen(stacks: list[Stack], volume: int | None, number: int) -> Stack:
    if volume is None and len(stacks) == 1:
        return stacks[0]
    labels = "; ".join(f"{k}: {stack.label or 'all'}" for k, stack in enumerate(stacks[:6], start=1))
    if volume is None or not 1 <= volume <= len(stacks):
        codes = {stack.label.split(" slices")[0] for stack in stacks if " slices" in stack.label}
        code = "ORIENTATION_MIXED" if len(codes) > 1 else "SEVERAL_VOLUMES"
        if max(len(stack.planes) for stack in stacks) < LEAST_SLICES:
            raise InputRefused(
                "TOO_FEW_SLICES",
                f"the series holds {len(stacks)} stacks of too few slices for a volume ({labels}); it "
                "may be a localizer",
            )
        raise InputRefused(
            code,
            f"the series holds {len(stacks)} volumes ({labels}); choose one, for example --series {number or ''}:2",
        )
    return stacks[volume - 1]


@contextmanager
def _naming_damage(series: DicomSeries) -> Iterator[None]:
    """Adds to the error of a missing slice which unreadable file may hold it."""
    try:
        yield
    except InputRefused as error:
        if error.code != "SLICE_MISSING" or not series.damaged:
            raise
        first = series.damaged[0]
        if first.code not in ("EMPTY", "UNREADABLE"):
            raise first from error
        raise InputRefused(
            "SLICE_MISSING",
            f"{error.message.removesuffix(EXPORT_AGAIN)}; it may be in an unreadable file: {first.message}",
        ) from error


def _report_damage(series: DicomSeries) -> None:
    if not series.damaged:
        return
    first = series.damaged[0]
    if not series.is_alone:
        warn(
            "DAMAGED_BESIDE",
            f"{len(series.damaged)} files in folders of several series cannot be read: {first.message}",
        )
    elif first.code in ("EMPTY", "UNREADABLE"):
        raise InputRefused("SLICE_MISSING", f"a slice may be missing at an end of the series: {first.message}")
    else:
        raise first


def _voxels(stack: Stack, headers: Mapping[Path, Dataset], expected_bytes: int, *, force: bool) -> Array:
    rows, columns = stack.planes[0].shape
    data = np.empty((columns, rows, len(stack.planes)), np.float32)
    slices = sorted(enumerate(stack.planes), key=lambda item: item[1].path)
    groups = {path: list(group) for path, group in groupby(slices, key=lambda item: item[1].path)}
    used = {path: headers[path] for path in groups}
    for path, stored in _numbers(used, expected_bytes, force=force):
        with refusing_damage(path):
            for k, plane in groups[path]:
                data[:, :, k] = _values(stored[plane.frame], plane, headers[path]).T
    return data


def _numbers(headers: Mapping[Path, Dataset], expected_bytes: int, *, force: bool) -> Iterator[tuple[Path, Stored]]:
    """Yields the stored values of each file, (frames, rows, columns)."""
    compressed = {path: header for path, header in headers.items() if is_compressed(header)}
    for path in headers:
        if path not in compressed:
            yield path, decode(read_dataset(path, force=force), path)
    if compressed:
        with decoded_elsewhere(list(compressed), expected_bytes, force=force) as outputs:
            for path, output in zip(compressed, outputs, strict=True):
                yield path, np.load(output, mmap_mode="r")


def _values(stored: Stored, plane: Plane, header: Dataset) -> Affine:
    """Returns values (rows, columns) in 64 bits; MONOCHROME1, in which 0 is white, is inverted.

    Not for CT: the attribute is about the display, and Hounsfield units follow from the stored numbers alone (DICOM
    PS3.3, C.7.6.3.1.2 and C.11.1).
    """
    numbers = stored.astype(np.float64)
    if header.get("PhotometricInterpretation") == "MONOCHROME1" and header.get("Modality") != "CT":
        bits = int(header.get("BitsStored") or header.BitsAllocated)
        ends = -1.0 if int(header.get("PixelRepresentation") or 0) else 2.0**bits - 1
        numbers = ends - numbers
    return np.asarray(numbers * plane.slope + plane.intercept)


def _stored_dtype(stack: Stack, header: Dataset) -> str:
    if any(plane.slope != 1 or plane.intercept != int(plane.intercept) for plane in stack.planes):
        return "float32"
    is_signed = int(header.get("PixelRepresentation") or 0) or min(plane.intercept for plane in stack.planes) < 0
    return "int16" if is_signed else "uint16"
