"""Variants and overrides: how the content of a recipe file becomes that of one experiment.

A file may hold `variants`, each with a name and the settings that it changes, so that the networks and ablations of a
paper are in one file. Variants can be combined when they do not set the same key to different values; the result does
not depend on their order, except for the name of the recipe. A variant with `extends: OTHER` begins with the settings
of another one and may change them.

How a change is merged into the recipe: mappings key by key; `loss` as a whole, because a merged loss would keep parts
that it does not name; and a change that names a network replaces the arguments of the former network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from voxlate.errors import UsageError, nearest
from voxlate.io.documents import InvalidDocument, parse_yaml

Path = tuple[str, ...]
"""A place in a recipe: the keys from the top, such as ("model", "arguments", "width")."""

_FREE = {"arguments", "loss", "more"}
"""Mappings whose keys are not fixed by the type of the recipe, so that an override may add one."""

_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
"""A number such as 1e-4, which YAML 1.1 reads as text."""


def vary(content: Mapping[str, Any], names: Sequence[str], *, file: str) -> dict[str, Any]:
    """Returns the content of a recipe with variants merged in and added to its name, and without `variants`.

    Args:
        content: of the file.
        names: of the variants; one that is given twice counts once.
        file: name of the file in error messages.

    Raises:
        UsageError: `VARIANT` for a variant that does not exist or is not a mapping; `VARIANT_CONFLICT` for two that set
            the same key to different values.
    """
    base = {key: value for key, value in content.items() if key != "variants"}
    variants = content.get("variants") or {}
    names = list(dict.fromkeys(names))
    lineages = {name: _lineage(name, variants, file) for name in names}
    extended = {ancestor for lineage in lineages.values() for ancestor in lineage[:-1]}
    union: dict[Path, Any] = {}
    origin: dict[Path, str] = {}
    for name in names:
        if name in extended:  # its settings come with the variant that extends it
            continue
        for path, value in _changes(lineages[name], variants).items():
            _require_agreement(path, value, union, origin, name, file)
            union[path], origin[path] = value, name
    merged = _merge(base, _nested(union))
    return merged | {"name": "-".join([str(base.get("name")), *names])} if names else merged


def override(content: dict[str, Any], overrides: Mapping[str, Any], *, file: str) -> dict[str, Any]:
    """Returns the content of a recipe with single values replaced.

    Args:
        content: of the recipe, with all defaults.
        overrides: values by place, keys and indices of lists joined by dots: `stages.0.steps`.
        file: name of the file in error messages.

    Raises:
        UsageError: `OVERRIDE` for a place that does not exist, with the most similar ones.
    """
    for place, value in overrides.items():
        if place == "training.steps" and content.get("stages"):
            steps = " ".join(f"--set stages.{index}.steps=…" for index in range(len(content["stages"])))
            raise UsageError("OVERRIDE", f"{file} trains in stages, whose steps are set one by one: {steps}")
        content = _replaced(content, place.split("."), value, place, content, file)
    return content


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Returns overrides by place, from texts such as `training.steps=20`; values are read as YAML.

    Raises:
        UsageError: `OVERRIDE` for a text without an equals sign, a value that is not YAML, or a place given twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        place, sign, value = text.partition("=")
        place = place.strip()
        if not sign or not place:
            raise UsageError("OVERRIDE", f"{text!r} is not KEY=VALUE, such as training.steps=20")
        if place in found:
            raise UsageError("OVERRIDE", f"{place} is set twice; keep one of the two values")
        try:
            found[place] = float(value) if _EXPONENT.fullmatch(value.strip()) else parse_yaml(value)
        except InvalidDocument as error:
            raise UsageError("OVERRIDE", f"{place}: {error}") from error
    return found


def _lineage(name: str, variants: Any, file: str, waiting: tuple[str, ...] = ()) -> list[str]:
    """Returns the variants that a variant extends, the first ancestor first, and itself at the end."""
    if not isinstance(variants, dict) or name not in variants:
        names = ", ".join(sorted(variants)) or "none"
        raise UsageError("VARIANT", f"{file} has no variant {name!r}; it has: {names}")
    change = variants[name] or {}
    if not isinstance(change, dict):
        raise UsageError("VARIANT", f"{file}: the variant {name!r} is not a mapping of keys to values")
    if name in waiting:
        raise UsageError("VARIANT", f"{file}: the variant {name!r} extends itself")
    parents = change.get("extends") or []
    parents = [parents] if isinstance(parents, str) else parents
    before = [each for parent in parents for each in _lineage(str(parent), variants, file, (*waiting, name))]
    return list(dict.fromkeys([*before, name]))


def _changes(lineage: Sequence[str], variants: Mapping[str, Any]) -> dict[Path, Any]:
    """Returns what a variant sets, by place; it overrules the variants that it extends."""
    merged: dict[str, Any] = {}
    for name in lineage:
        merged = _merge(merged, {key: value for key, value in (variants[name] or {}).items() if key != "extends"})
    return dict(_leaves(merged))


def _leaves(change: Mapping[str, Any], above: Path = ()) -> Iterable[tuple[Path, Any]]:
    for key, value in change.items():
        path = (*above, str(key))
        if isinstance(value, Mapping) and key != "loss":  # an empty mapping changes nothing
            yield from _leaves(value, path)
        else:
            yield path, value


def _require_agreement(
    path: Path, value: Any, union: Mapping[Path, Any], origin: Mapping[Path, str], name: str, file: str
) -> None:
    for other, existing in union.items():
        is_same = other == path and existing == value
        if is_same or other[: len(path)] != path[: len(other)]:
            continue
        shown = ".".join(path if len(path) > len(other) else other)
        raise UsageError(
            "VARIANT_CONFLICT",
            f"{file}: the variants {origin[other]} and {name} set {shown} to different values; leave out one of them, "
            f"or add a variant with `extends: {origin[other]}` to the recipe",
        )


def _nested(union: Mapping[Path, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in union.items():
        place = nested
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return nested


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` changed by `change`; see the module's docstring."""
    names_network = "name" in change
    merged = {key: value for key, value in base.items() if not (names_network and key == "arguments")}
    for key, value in change.items():
        is_part = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and key != "loss"
        merged[key] = _merge(merged[key], value) if is_part else value
    return merged


def _replaced(node: Any, keys: Sequence[str], value: Any, place: str, whole: Any, file: str) -> Any:
    """Returns a copy of `node` with the value at `keys` below it replaced."""
    key, below = keys[0], keys[1:]
    if isinstance(node, Mapping):
        parent = place.split(".")[: -len(keys)]
        is_free = bool(parent) and parent[-1] in _FREE and not below
        if key in node or is_free:
            return {**node, key: _replaced(node[key], below, value, place, whole, file) if below else value}
    elif isinstance(node, list | tuple) and key.isdecimal() and int(key) < len(node):
        items = list(node)
        items[int(key)] = _replaced(items[int(key)], below, value, place, whole, file) if below else value
        return items
    raise UsageError("OVERRIDE", f"{file}: {_why_not(node, keys, place, whole)}")


def _why_not(node: Any, keys: Sequence[str], place: str, whole: Any) -> str:
    """Returns why a place does not exist, with the most similar places."""
    above = ".".join(place.split(".")[: -len(keys)])
    if node is None:
        return f"there is no {place}, because {above} is not set; set all of it: --set '{above}={{…}}'"
    if isinstance(node, list | tuple):
        return f"there is no {place}; {above} has {len(node)} entries, counted from 0"
    places = [".".join(path) for path in _places(whole)]
    same_end = [each for each in places if each.split(".")[-1] == place.rsplit(".", maxsplit=1)[-1]]
    advice = f"; did you mean {' or '.join(same_end[:3])}?" if same_end else nearest(place, places)
    advice = advice or f"; choose from {', '.join(map(str, whole))}, or a key below them"
    return f"there is no {place}{advice}"


def _places(node: Any, above: Path = ()) -> Iterable[Path]:
    """Returns all places below `node`, lists with their indices."""
    entries = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in entries:
        yield (*above, str(key))
        yield from _places(value, (*above, str(key)))
