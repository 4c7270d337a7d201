"""Shards: parts of a run of many cases, so that several machines can each work on one."""

from __future__ import annotations

import hashlib

from voxlate.errors import UsageError


def shard_of(name: str, count: int) -> int:
    """Returns the shard of a case, from 1 to `count`; it depends on the name of the case alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % count + 1


def parse_shard(text: str) -> tuple[int, int]:
    """Returns k and N of the text `k/N`.

    Raises:
        UsageError: `SHARD`.
    """
    left, sign, right = text.partition("/")
    if not sign or not text.isascii() or not left.isdigit() or not right.isdigit() or not 1 <= int(left) <= int(right):
        raise UsageError("SHARD", f"{text!r} is not a shard; write 3/16 for the third of sixteen")
    return int(left), int(right)
