"""Reads the stored values of a file; compressed pixels are decoded in a separate process, which may crash."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID

from voxlate.errors import InputRefused, TemporaryFailure
from voxlate.io.dicom.parse import file_label

Stored = NDArray[Any]
MAX_PIXEL_BYTES = 4 << 30  # as `io.nifti.MAX_BYTES`
DECODER_SECONDS = 600.0  # a decoder that takes longer hangs; chosen by hand; not tuned


def require_pixels(dataset: Dataset, name: Path | str) -> int:
    """Returns the size of the decoded pixels in bytes, from the header alone.

    Args:
        dataset: the file, read with its pixels.
        name: path or label of the file, for messages.

    Raises:
        InputRefused: `NOT_AN_IMAGE`, `DATATYPE`, `TOO_LARGE`, `PIXEL_TRUNCATED`.
    """
    if "PixelData" not in dataset:
        raise InputRefused("NOT_AN_IMAGE", f"{file_label(name)} holds no integer pixel data")
    bits = dataset.get("BitsAllocated")
    if bits not in (8, 16, 32):
        raise InputRefused("DATATYPE", f"{file_label(name)}: pixels have {bits} bits; 8, 16 and 32 are supported")
    frames = int(dataset.get("NumberOfFrames") or 1)
    expected = frames * int(dataset.Rows) * int(dataset.Columns) * int(bits) // 8
    if expected > MAX_PIXEL_BYTES:
        raise InputRefused(
            "TOO_LARGE", f"{file_label(name)}: {expected:,} bytes of pixels, above {MAX_PIXEL_BYTES:,}; export it again"
        )
    stored = len(dataset.get_item("PixelData").value)
    if not is_compressed(dataset) and stored < expected:
        raise InputRefused(
            "PIXEL_TRUNCATED", f"{file_label(name)} holds {stored:,} of {expected:,} bytes of pixels; export it again"
        )
    return expected


def is_compressed(dataset: Dataset) -> bool:
    """Returns whether the pixels are compressed (encapsulated).

    Raises:
        InputRefused: `SYNTAX_UNSUPPORTED` when the transfer syntax is missing or unknown.
    """
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is None:
        if dataset.is_implicit_VR and dataset.is_little_endian:
            return False  # a file without preamble, read with `force`
        raise InputRefused("SYNTAX_UNSUPPORTED", "a file has no transfer syntax, so its pixels cannot be decoded")
    uid = UID(syntax)
    if not uid.is_transfer_syntax or uid.is_private:
        raise InputRefused("SYNTAX_UNSUPPORTED", f"the transfer syntax {uid} is not supported")
    return bool(uid.is_compressed and uid.is_encapsulated)


def decode(dataset: Dataset, name: Path | str) -> Stored:
    """Returns the stored values of all frames, (frames, rows, columns), without unused bits.

    Args:
        dataset: the file, read with its pixels.
        name: path or label of the file, for messages.

    Raises:
        InputRefused: `SYNTAX_UNSUPPORTED` when they cannot be decoded.
    """
    try:
        if not hasattr(dataset, "file_meta") or dataset.file_meta.get("TransferSyntaxUID") is None:
            dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2")
        numbers = dataset.pixel_array
    except Exception as error:  # decoders raise many kinds of errors for damaged pixels
        kind = dataset.file_meta.TransferSyntaxUID.name
        reason = (
            "decoding failed" if _has_decoder(dataset) else "no decoder is installed; run: pip install 'voxlate[dicom]'"
        )
        raise InputRefused("SYNTAX_UNSUPPORTED", f"{file_label(name)}: pixels in {kind}: {reason}") from error
    return np.asarray(numbers.reshape(-1, int(dataset.Rows), int(dataset.Columns)))


def _has_decoder(dataset: Dataset) -> bool:
    """Returns whether a decoder for the transfer syntax is installed."""
    from pydicom.pixels.decoders.base import get_decoder

    try:
        return bool(get_decoder(dataset.file_meta.TransferSyntaxUID).is_available)
    except NotImplementedError:
        return False


@contextmanager
def decoded_elsewhere(paths: Sequence[Path], expected_bytes: int, *, force: bool) -> Iterator[list[Path]]:
    """Decodes compressed files in a separate process with limited memory; yields one `.npy` file for each.

    Args:
        paths: the compressed files.
        expected_bytes: size of all decoded pixels; limits the memory of the process.
        force: see `voxlate.io.dicom.parse.read_dataset`.

    Raises:
        InputRefused: `SYNTAX_UNSUPPORTED` when the decoder fails or crashes.
        TemporaryFailure: `IO` when the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="voxlate-") as folder:
        outputs = [Path(folder) / f"{k}.npy" for k in range(len(paths))]
        jobs = [[str(path), str(output)] for path, output in zip(paths, outputs, strict=True)]
        _run_decoder({"jobs": jobs, "bytes": expected_bytes, "force": force}, paths[0])
        yield outputs


def _run_decoder(request: dict[str, Any], name: Path) -> None:
    command = [sys.executable, "-m", "voxlate.io.dicom.decoder"]
    try:
        ended = subprocess.run(  # noqa: S603 (our own module)
            command, input=json.dumps(request), capture_output=True, text=True, timeout=DECODER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputRefused(
            "SYNTAX_UNSUPPORTED", f"{file_label(name)}: decoding took more than {DECODER_SECONDS:g} s"
        ) from error
    if ended.returncode == TemporaryFailure.exit_status:
        raise TemporaryFailure("IO", "decoded pixels could not be written; free disk space and run it again")
    if ended.returncode != 0:
        reason = ended.stdout.strip().splitlines()[-1:] or [f"{file_label(name)}: the decoder crashed"]
        raise InputRefused("SYNTAX_UNSUPPORTED", reason[0])
