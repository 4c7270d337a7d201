"""A bundle is a folder that holds all that inference needs, with the hash of each file.

weights.safetensors   the network
recipe.yaml           the resolved recipe: network, preparation, inference
mapping.json          from relative units to the target's units
baselines.json        mean quantile functions of the training pairs, for the histogram-matched baseline
history.json          the loss curves
known.json            what the training scans look like, so that a scan unlike them is told
runtimes.json         what else may run the network, with what was measured; see `voxlate accelerate`
pictures.json         filters and feature maps, of networks that have them
card.md               what it is for, what it was trained on, what was measured
manifest.json         SHA-256 of every other file; written last, checked at load
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from voxlate import __version__
from voxlate.bundle.networks import generator_of
from voxlate.bundle.out_of_distribution import TrainingStatistics, training_statistics_from_json
from voxlate.bundle.recipe import Recipe, read_recipe, recipe_text
from voxlate.errors import ModelInvalid, NoInput, UsageError, VoxlateError
from voxlate.io.atomic import replacing, sha256, write_json, write_text
from voxlate.io.documents import MAX_TEXT_BYTES, read_json

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
RUNTIMES_FILE = "runtimes.json"
FORMAT = 1


@dataclass(frozen=True)
class Mapping:
    """From relative units of the target to numbers like those of the source.

    Attributes:
        gain: reference level of a target over that of its source, the geometric mean over the training pairs.
        log_sd: standard deviation of the logarithm of that ratio; large when scanners choose gains at will.
        n: training pairs.
        offset: where the zero of a target's units lies, in relative units; mean over the training pairs.
        median: the median of a target's brain over what one relative unit is; 1 for the default scale.
    """

    gain: float
    log_sd: float
    n: int
    offset: float = 0.0
    median: float = 1.0


@dataclass(frozen=True)
class Bundle:
    """A trained model, read and verified.

    Attributes:
        name: of the recipe.
        recipe: the resolved recipe.
        mapping: to the target's units.
        network: in evaluation mode, on the CPU.
        weights_sha256, recipe_sha256: from the manifest.
        spacing_mm: least and largest voxel spacing seen in training.
        parts: bundles that were joined to this one.
        training_statistics: what the training scans look like; None in an old bundle without `known.json`.
        runtimes: files of the network for other runtimes that may be used, by name; see `voxlate.inference.runtime`.
    """

    name: str
    recipe: Recipe
    mapping: Mapping
    network: nn.Module
    weights_sha256: str
    recipe_sha256: str
    spacing_mm: tuple[float, float]
    parts: tuple[Bundle, ...] = ()
    training_statistics: TrainingStatistics | None = None
    runtimes: dict[str, Path] = field(default_factory=dict)

    @property
    def members(self) -> tuple[str, ...]:
        """Returns the hashes of the weights of the bundles that were joined."""
        return tuple(part.weights_sha256 for part in self.parts)


def write_bundle(
    folder: Path, recipe: Recipe, weights: dict[str, Tensor], *, documents: dict[str, Any], card: str
) -> None:
    """Writes a bundle, the manifest last.

    Args:
        folder: where; files of an older bundle there are replaced.
        recipe: the resolved recipe.
        weights: state of the network.
        documents: content of the JSON files by name without suffix: `mapping`, `baselines`, `history`, `known` and
            `pictures`.
        card: the model card in Markdown.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    write_weights(folder / WEIGHTS, weights)
    write_text(folder / "recipe.yaml", recipe_text(recipe))
    for name, content in documents.items():
        write_json(folder / f"{name}.json", content)
    write_text(folder / "card.md", card)
    names = sorted([WEIGHTS, "recipe.yaml", "card.md", *(f"{name}.json" for name in documents)])
    hashes = {name: sha256(folder / name) for name in names}
    write_json(folder / MANIFEST, {"format": FORMAT, "voxlate": __version__, "files": hashes})


def write_weights(path: Path, weights: dict[str, Tensor], *, metadata: dict[str, str] | None = None) -> None:
    """Writes tensors as safetensors, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata=metadata)


def read_bundle(folder: Path, *, trust_code: bool = False) -> Bundle:
    """Reads and verifies a bundle.

    Hashes show that a bundle is as it was written, not who wrote it. A bundle is data: it is read within limits and
    none of its content is run.

    Args:
        folder: of the bundle.
        trust_code: import the module of a network outside voxlate, which runs its code.

    Raises:
        ModelInvalid: `MODEL_MISSING`, `MODEL_MANIFEST`, `MODEL_HASH`, `MODEL_RECIPE`, `MODEL_CODE` (the network is
            outside voxlate and its code is not trusted), `MODEL_DOCUMENT` (not a JSON file, or impossible values),
            `MODEL_WEIGHTS` (not safetensors, a key twice, other names or shapes than the network's), `MODEL_NAN`.
    """
    hashes = verify_bundle(folder)
    recipe = _recipe(folder)
    network = _network(folder, recipe, trust_code=trust_code)
    mapping, (low, high) = _mapping(folder)
    return Bundle(
        recipe.name,
        recipe,
        mapping,
        network,
        hashes[WEIGHTS],
        hashes["recipe.yaml"],
        spacing_mm=(low, high),
        training_statistics=_training_statistics(folder, hashes),
        runtimes=_runtimes(folder, hashes),
    )


_BUILDING = (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, MemoryError, AttributeError)
"""What building a network out of impossible arguments may raise; of a recipe from outside none is a defect of ours."""

_UNSOUND = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError)
"""What reading a document of another form than ours may raise."""


def _recipe(folder: Path) -> Recipe:
    try:
        return read_recipe(folder / "recipe.yaml")
    except (UsageError, NoInput) as error:
        raise ModelInvalid("MODEL_RECIPE", f"{folder.name}: {error.message}; copy the bundle again") from error


def _network(folder: Path, recipe: Recipe, *, trust_code: bool) -> nn.Module:
    """Returns the network with its weights.

    It is built without memory first and compared with the head of the weights: a recipe of 1 kB can ask for a network
    of any size.
    """
    try:
        with torch.device("meta"):
            empty = generator_of(recipe, trust_code=trust_code)
        expected = {name: tuple(tensor.shape) for name, tensor in empty.state_dict().items()}
    except ModelInvalid:
        raise  # MODEL_CODE
    except (*_BUILDING, VoxlateError) as error:
        reason = error.message if isinstance(error, VoxlateError) else type(error).__name__
        raise ModelInvalid("MODEL_RECIPE", f"{folder.name}: no network can be built by its recipe: {reason}") from error
    _require_shapes(tensor_shapes(folder / WEIGHTS), expected, folder.name)
    network = generator_of(recipe, trust_code=trust_code)
    network.load_state_dict(read_weights(folder / WEIGHTS))
    return network.eval()


def _require_shapes(found: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]], name: str) -> None:
    wrong = [key for key in expected if found.get(key) != expected[key]]
    wrong += [key for key in found if key not in expected]
    if wrong:
        shapes = f"{found.get(wrong[0], 'not there')}, the recipe's {expected.get(wrong[0], 'not there')}"
        raise ModelInvalid(
            "MODEL_WEIGHTS",
            f"{name}: {len(wrong)} tensors do not fit the recipe; {wrong[0][:80]} is {shapes}; copy the bundle again",
        )


def _mapping(folder: Path) -> tuple[Mapping, tuple[float, float]]:
    with _sound(folder, "mapping.json"):
        content = read_json(folder / "mapping.json")
        mapping = Mapping(
            float(content["gain"]),
            float(content["log_sd"]),
            int(content["n"]),
            float(content.get("offset", 0.0)),
            float(content.get("median", 1.0)),
        )
        low, high = (float(value) for value in content["spacing_mm"])
        positive = {"gain": mapping.gain, "median": mapping.median, "spacing_mm": min(low, high)}
        for key, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{key} is {value:g}, and must be above 0")
        if not all(math.isfinite(value) for value in (mapping.log_sd, mapping.offset, high)) or mapping.log_sd < 0:
            raise ValueError("log_sd, offset and spacing_mm must be finite, log_sd not below 0")
        return mapping, (low, high)


@contextmanager
def _sound(folder: Path, name: str) -> Iterator[None]:
    """Refuses a bundle whose document is of another form than ours."""
    try:
        yield
    except _UNSOUND as error:
        reason = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise ModelInvalid("MODEL_DOCUMENT", f"{folder.name}/{name}: {reason}; copy the bundle again") from error


def _training_statistics(folder: Path, hashes: dict[str, str]) -> TrainingStatistics | None:
    if "known.json" not in hashes:
        return None
    with _sound(folder, "known.json"):
        return training_statistics_from_json(read_json(folder / "known.json"))


def _runtimes(folder: Path, hashes: dict[str, str]) -> dict[str, Path]:
    """Returns the files of the runtimes that passed, all of which the manifest must know."""
    if RUNTIMES_FILE not in hashes:
        return {}
    with _sound(folder, RUNTIMES_FILE):
        content = read_json(folder / RUNTIMES_FILE)
        passed = {name: list(each["files"]) for name, each in content["runtimes"].items() if each["passed"]}
        lacking = [file for files in passed.values() for file in files if file not in hashes]
        if not all(passed.values()):
            raise ValueError("a runtime without a file")
        weights_sha256 = content["weights_sha256"]
    if lacking or weights_sha256 != hashes[WEIGHTS]:
        raise ModelInvalid(
            "MODEL_MANIFEST", f"{folder.name}: {RUNTIMES_FILE} does not belong to these weights; make it again"
        )
    return {name: folder / files[0] for name, files in passed.items()}


def add_to_bundle(folder: Path, files: list[str]) -> None:
    """Adds files that were written into a bundle to its manifest."""
    manifest = read_json(folder / MANIFEST)
    manifest["files"] |= {name: sha256(folder / name) for name in files}
    write_json(folder / MANIFEST, manifest)


def remove_from_bundle(folder: Path, files: list[str]) -> None:
    """Takes files out of the manifest of a bundle and then away, so that it is whole whenever this is interrupted."""
    manifest = read_json(folder / MANIFEST)
    manifest["files"] = {name: value for name, value in manifest["files"].items() if name not in files}
    write_json(folder / MANIFEST, manifest)
    for name in files:
        (folder / name).unlink(missing_ok=True)


def verify_bundle(folder: Path) -> dict[str, str]:
    """Returns the hashes in the manifest after comparing each with its file.

    Raises:
        ModelInvalid: `MODEL_MISSING`, `MODEL_MANIFEST` or `MODEL_HASH`.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelInvalid("MODEL_MISSING", f"{folder.name}: no {MANIFEST} there; name the folder of a trained bundle")
    try:
        manifest = read_json(path)
        hashes: dict[str, str] = dict(manifest["files"])
        required = {WEIGHTS, "recipe.yaml", "mapping.json"} - set(hashes)
        if not all(isinstance(value, str) for value in hashes.values()):
            raise TypeError("a hash is no text")
    except _UNSOUND as error:
        raise ModelInvalid(
            "MODEL_MANIFEST", f"{folder.name}: {MANIFEST} cannot be read; copy the bundle again"
        ) from error
    if manifest.get("format") != FORMAT or required or any(not _is_file_name(name) for name in hashes):
        raise ModelInvalid("MODEL_MANIFEST", f"{folder.name}: {MANIFEST} is not of format {FORMAT} or lacks a file")
    for name, expected in hashes.items():
        found = sha256(folder / name) if (folder / name).is_file() else "nothing"
        if found != expected:
            raise ModelInvalid(
                "MODEL_HASH",
                f"{folder.name}/{name}: expected {expected[:12]}…, found {found[:12]}…; copy the bundle again",
            )
    return hashes


def _is_file_name(name: str) -> bool:
    return Path(name).name == name and name.isprintable()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file, refusing what that format lets pass.

    Raises:
        ModelInvalid: `MODEL_WEIGHTS` (not safetensors, a key twice) or `MODEL_NAN`.
    """
    tensor_shapes(path)
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelInvalid("MODEL_WEIGHTS", f"{path.name}: not a sound safetensors file: {error}") from error
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelInvalid("MODEL_NAN", f"{path.name}: {name} holds values that are not finite")
    return weights


MAX_HEADER_BYTES = MAX_TEXT_BYTES
"""Of the head of a safetensors file; the largest network here has 700 tensors and a head of 70 kB."""


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of all tensors by their names, from the head of a safetensors file alone.

    Raises:
        ModelInvalid: `MODEL_WEIGHTS` when it has no such head, one of more than `MAX_HEADER_BYTES`, or a key twice.
    """
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if size > MAX_HEADER_BYTES:
                raise ValueError(f"a head of {size:,} bytes; {MAX_HEADER_BYTES:,} are read at most")
            header = json.loads(stream.read(size), object_pairs_hook=_unique)
        return {name: tuple(told["shape"]) for name, told in header.items() if name != "__metadata__"}
    except RecursionError as error:
        raise ModelInvalid("MODEL_WEIGHTS", f"{path.name}: not a sound safetensors file: nested too deeply") from error
    except _UNSOUND as error:
        raise ModelInvalid("MODEL_WEIGHTS", f"{path.name}: not a sound safetensors file: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} stands twice")
    return dict(pairs)
