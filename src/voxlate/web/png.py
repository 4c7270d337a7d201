"""8-bit PNG files, grey or RGB, from arrays; the few bytes of the format that a picture needs."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
_UP = 2


def encode(image: NDArray[np.uint8]) -> bytes:
    """Returns an image of (rows, columns) as a grey PNG, of (rows, columns, 3) as an RGB one.

    Each row is stored as its difference to the row above (filter 2 of the PNG specification, section 9).
    """
    height, width = image.shape[:2]
    rows = np.ascontiguousarray(image).reshape(height, -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), _UP, dtype=np.uint8), rows - above])
    colour = _GREY if image.ndim == 2 else _RGB
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def data_uri(image: NDArray[np.uint8]) -> str:
    """Returns an image as a PNG data URI."""
    return "data:image/png;base64," + base64.b64encode(encode(image)).decode("ascii")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
