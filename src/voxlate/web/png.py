"""8-bit PNG files from arrays, by Pillow."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(image: NDArray[np.uint8]) -> bytes:
    """Returns a PNG file.

    Args:
        image: shape (rows, columns) for grey, (rows, columns, 3) for RGB; 8 bits per channel.
    """
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", compress_level=9)
    return stream.getvalue()


def data_uri(image: NDArray[np.uint8]) -> str:
    """Returns an image as a PNG data URI; see `encode` for its shape."""
    return "data:image/png;base64," + base64.b64encode(encode(image)).decode("ascii")
