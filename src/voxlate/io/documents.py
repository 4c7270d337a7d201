"""Reads small documents (JSON, YAML, lists) safely: only regular files of at most 8 MiB.

A pipe would block until somebody writes, a device never ends, and text that is nested too deeply would crash the
interpreter. An unusable document raises `InvalidDocument` (a `ValueError`), a missing one `FileNotFoundError`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

MAX_TEXT_BYTES = 8 << 20
"""Limit for one document. The largest that voxlate writes, an evaluation of 1,000 cases, has about 4 MiB."""

MAX_TABLE_BYTES = 1 << 30
"""Limit for a table with one row per case; a million rows of up to 1 KiB fit."""


class InvalidDocument(ValueError):
    """A document cannot be used; the message gives the reason without the file name."""


def read_bounded(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Returns the bytes of a regular file.

    Raises:
        FileNotFoundError: the file does not exist.
        OSError: it cannot be read; like all of these, without the path, since messages show it.
        InvalidDocument: it is a folder, a pipe or a device, or larger than `max_bytes`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise OSError(error.errno, error.strerror) from error
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InvalidDocument("not a regular file")
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise InvalidDocument(f"more than {max_bytes >> 20} MiB")
    return content


def read_text(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Returns UTF-8 text without its byte order mark.

    Raises:
        OSError, InvalidDocument: see `read_bounded`; `InvalidDocument` also for text that is not UTF-8.
    """
    try:
        return read_bounded(path, max_bytes=max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDocument(f"not UTF-8 at byte {error.start}; save it as UTF-8") from error


def read_json(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> Any:
    """Returns the content of a JSON file.

    Raises:
        OSError, InvalidDocument: see `read_text`; `InvalidDocument` also for invalid JSON, with line and column.
    """
    return parse_json(read_text(path, max_bytes=max_bytes))


def read_object(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file; empty when the file is missing, unreadable, damaged or holds no object."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def parse_json(text: str) -> Any:
    """Returns the content of JSON text; raises `InvalidDocument` when it is not valid."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidDocument(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise InvalidDocument("nested too deeply") from error


def finite_values(content: Any) -> Any:
    """Returns values as JSON can hold them: None for NaN and infinity, lists for tuples, at any depth.

    Example:
        >>> finite_values({"mean": 0.5, "interval": (float("nan"), 1.0)})
        {'mean': 0.5, 'interval': [None, 1.0]}
    """
    if isinstance(content, Mapping):
        return {key: finite_values(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite_values(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def canonical_json(content: object) -> str:
    """Returns JSON in a unique form, for hashes: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def json_sha256(content: object) -> str:
    """Returns the SHA-256 of JSON values in their unique form, see `canonical_json`."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


_KEPT_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "merge")}


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the parser in C, where it is there
    """Loads plain types, and refuses a key that occurs twice: PyYAML would take the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Returns a mapping; keys of a merged anchor (`<<`) may be given again."""
        seen: set[Any] = set()
        for key, _ in node.value:
            value = key.value if isinstance(key, yaml.ScalarNode) else None
            if value is not None and value != "<<" and (key.tag, value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {value!r} occurs twice; give each its own name,", key.start_mark
                )
            seen.add((key.tag, value))
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


class _Texts(_UniqueKeys):
    """Leaves every scalar but an empty one as the text that it is."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {
        first: [(tag, rule) for tag, rule in rules if tag in _KEPT_TAGS]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def parse_yaml(text: str, *, as_text: bool = False) -> Any:
    """Returns the content of YAML text, plain types only; raises `InvalidDocument` when it is not valid.

    Args:
        text: of the document.
        as_text: return scalars as they are written: YAML 1.1 reads `4:2` as 242, `01` as 1 and `off` as false.
    """
    try:
        return (_Texts if as_text else _UniqueKeys)(text).get_single_data()
    except yaml.YAMLError as error:
        told = " ".join(str(error).split()).replace('in "<unicode string>", line', "in line")
        raise InvalidDocument(f"not YAML: {told}") from error
    except RecursionError as error:
        raise InvalidDocument("nested too deeply") from error
    except (
        ValueError,
        AttributeError,
        TypeError,
        OverflowError,
    ) as error:  # a date of month 13, a tag on the wrong type
        raise InvalidDocument(f"not YAML: {error}") from error
