"""Reading of gzip that proves its end: every member's length and checksum are checked, none is taken on trust."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from voxlate.errors import InputRefused

GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_MAX_RATIO = 1032
"""Deflate spends at least two bits on 258 bytes, so no stream grows by more (zlib's technical details)."""

_CHUNK_BYTES = 1 << 18
_GZIP_ONLY = 31  # zlib's window bits for a gzip header and trailer


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
