"""The stored numbers of a file; compressed ones are decoded in a process of their own, which may die."""

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
from voxlate.io.dicom.parse import told

Stored = NDArray[Any]
MAX_PIXEL_BYTES = 4 << 30
DECODER_SECONDS = 600.0


def require_pixels(dataset: Dataset, name: Path | str) -> int:
    """Returns the bytes that the pixels of a file take once decoded; told by its header alone.

    Raises:
        InputRefused: `NOT_AN_IMAGE`, `DATATYPE`, `TOO_LARGE`, `PIXEL_TRUNCATED`.
    """
    if "PixelData" not in dataset:
        raise InputRefused("NOT_AN_IMAGE", f"{told(name)} holds no pixels of whole numbers")
    bits = dataset.get("BitsAllocated")
    if bits not in (8, 16, 32):
        raise InputRefused("DATATYPE", f"{told(name)}: pixels of {bits} bits; 8, 16 and 32 are read")
    frames = int(dataset.get("NumberOfFrames") or 1)
    expected = frames * int(dataset.Rows) * int(dataset.Columns) * int(bits) // 8
    if expected > MAX_PIXEL_BYTES:
        raise InputRefused(
            "TOO_LARGE", f"{told(name)}: {expected:,} bytes of pixels; {MAX_PIXEL_BYTES:,} are read at most"
        )
    stored = len(dataset.get_item("PixelData").value)
    if not is_compressed(dataset) and stored < expected:
        raise InputRefused(
            "PIXEL_TRUNCATED", f"{told(name)}: {stored:,} of {expected:,} bytes of pixels; export it again"
        )
    return expected


def is_compressed(dataset: Dataset) -> bool:
    """Tells whether the pixels are encapsulated.

    Raises:
        InputRefused: `SYNTAX_UNSUPPORTED` when the file does not say how it is written.
    """
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is None:
        if dataset.is_implicit_VR and dataset.is_little_endian:
            return False  # a file without its beginning, read because it was asked for
        raise InputRefused("SYNTAX_UNSUPPORTED", "a file does not say how its pixels are written")
    uid = UID(syntax)
    if not uid.is_transfer_syntax or uid.is_private:
        raise InputRefused("SYNTAX_UNSUPPORTED", f"pixels written as {uid} cannot be read")
    return bool(uid.is_compressed and uid.is_encapsulated)


def decode(dataset: Dataset, name: Path | str) -> Stored:
    """Returns the stored numbers of all frames, (frames, rows, columns), with bits beyond those stored removed.

    Raises:
        InputRefused: `SYNTAX_UNSUPPORTED` when no decoder takes them.
    """
    try:
        if not hasattr(dataset, "file_meta") or dataset.file_meta.get("TransferSyntaxUID") is None:
            dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2")
        numbers = dataset.pixel_array
    except Exception as error:  # decoders answer damage with whatever error they meet
        kind = dataset.file_meta.TransferSyntaxUID.name
        reason = "they do not decode" if _has_decoder(dataset) else "no decoder is installed (voxlate[dicom])"
        raise InputRefused("SYNTAX_UNSUPPORTED", f"{told(name)}: pixels said to be {kind}: {reason}") from error
    return np.asarray(numbers.reshape(-1, int(dataset.Rows), int(dataset.Columns)))


def _has_decoder(dataset: Dataset) -> bool:
    """Tells whether there is a program for the way in which pixels are written, whatever it made of these."""
    from pydicom.pixels.decoders.base import get_decoder

    try:
        return bool(get_decoder(dataset.file_meta.TransferSyntaxUID).is_available)
    except NotImplementedError:
        return False


@contextmanager
def decoded_elsewhere(paths: Sequence[Path], expected_bytes: int, *, force: bool) -> Iterator[list[Path]]:
    """Yields files of the decoded numbers of each compressed file, made by a process whose memory is limited.

    Raises:
        InputRefused: `SYNTAX_UNSUPPORTED` when a decoder fails or dies.
        TemporaryFailure: `IO` when there is no room for them.
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
        raise InputRefused("SYNTAX_UNSUPPORTED", f"{told(name)}: decoding took over {DECODER_SECONDS:g} s") from error
    if ended.returncode == TemporaryFailure.exit_status:
        raise TemporaryFailure("IO", "decoded pixels could not be written; make room and run it again")
    if ended.returncode != 0:
        reason = ended.stdout.strip().splitlines()[-1:] or [f"{told(name)}: the decoder died of its pixels"]
        raise InputRefused("SYNTAX_UNSUPPORTED", reason[0])
