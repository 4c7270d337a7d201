"""Reads and writes bundles: folders that hold all that inference needs, with the hash of each file.

weights.safetensors   the weights of the network
recipe.yaml           the resolved recipe: network, preparation, inference
mapping.json          from relative units to the units of the target
baselines.json        mean quantile functions of the training pairs, for the histogram-matched baseline
history.json          the loss curves
start.json            the models that the training began with, and their training cases; only with `--from`
known.json            statistics of the training scans, for out-of-distribution detection
calibration.json      the expected error of its predictions; see `voxlate calibrate --add-to-bundle`
provenance.json       training subjects with origin and licence; only in the models that come with the package
runtimes.json         other runtimes that may run the network, with measurements; see `voxlate accelerate`
pictures.json         filters and feature maps of a DRUNet
card.md               the model card: intended use, training data, measurements
manifest.json         SHA-256 of every other file; written last, checked when the bundle is read
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

from voxlate.bundle.calibration import CALIBRATION_FILE, Calibration, calibration_from_json
from voxlate.bundle.networks import NetworkObject, generator_of
from voxlate.bundle.out_of_distribution import TrainingStatistics, training_statistics_from_json
from voxlate.bundle.recipe import Recipe, read_recipe, recipe_text
from voxlate.errors import ModelInvalid, NoInput, UsageError, VoxlateError
from voxlate.io.atomic import replacing, sha256, write_json, write_text
from voxlate.io.documents import MAX_TEXT_BYTES, read_json
from voxlate.version import __version__

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
RUNTIMES_FILE = "runtimes.json"
FORMAT = 1
"""Of the manifest; another one is refused."""


@dataclass(frozen=True)
class Mapping:
    """The mapping from relative units of the target to units like those of the source.

    Attributes:
        gain: reference level of a target over that of its source, the geometric mean over the training pairs.
        log_sd: standard deviation of the logarithm of that ratio; large when scanners choose gains freely.
        n: number of training pairs.
        offset: the zero of a target's units, in relative units; mean over the training pairs.
        median: median of a target in the brain mask, in relative units; 1 for the default scale.
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
        mapping: to the units of the target.
        network: maps (B, C, D, H, W) to (B, 1, D, H, W) in relative units; in evaluation mode, on the CPU.
        weights_sha256, recipe_sha256: from the manifest.
        spacing_mm: least and largest voxel spacing seen in training; (0, inf) when they are not known.
        parts: the members of an ensemble; empty for a single bundle.
        training_statistics: what the training scans look like; None in an old bundle without `known.json`.
        runtimes: files of the network for other runtimes, by name of the runtime; see `voxlate.inference.runtime`.
        calibration: of the spread of its own predictions; None where it was not calibrated.
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
    calibration: Calibration | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """Returns the hashes of the weights of the members of an ensemble."""
        return tuple(part.weights_sha256 for part in self.parts)


def write_bundle(
    folder: Path, recipe: Recipe, weights: dict[str, Tensor], *, documents: dict[str, Any], card: str
) -> None:
    """Writes a bundle, the manifest last.

    Args:
        folder: of the bundle; files of an older bundle are replaced.
        recipe: the resolved recipe.
        weights: of the network, by name.
        documents: content of the JSON files by name without suffix: `mapping`, `baselines`, `history`, `known`,
            `pictures` and `start`.
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
    """Writes tensors by name to a safetensors file, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata=metadata)


def read_bundle(folder: Path, *, trust_code: bool = False, network: NetworkObject | None = None) -> Bundle:
    """Reads and verifies a bundle.

    Hashes show that a bundle is as it was written, not who wrote it. A bundle is data: it is read within limits and
    none of its content is run.

    Args:
        folder: of the bundle.
        trust_code: import the module of a network outside voxlate, which runs its code.
        network: the network that was passed to `voxlate.train`, or its class; a copy of it gets the weights.

    Raises:
        ModelInvalid: `MODEL_MISSING`, `MODEL_MANIFEST`, `MODEL_HASH`, `MODEL_RECIPE`, `MODEL_CODE` (the network is
            outside voxlate and its code is not trusted), `MODEL_OBJECT` (it is a Python object that is not given),
            `MODEL_DOCUMENT` (not a JSON file, or impossible values),
            `MODEL_WEIGHTS` (not safetensors, a key twice, other names or shapes than the network's), `MODEL_NAN`.
    """
    hashes = verify_bundle(folder)
    recipe = _recipe(folder)
    made = _network(folder, recipe, trust_code=trust_code, network=network)
    mapping, spacing_mm = _mapping(folder)
    return Bundle(
        recipe.name,
        recipe,
        mapping,
        made,
        hashes[WEIGHTS],
        hashes["recipe.yaml"],
        spacing_mm=spacing_mm,
        training_statistics=_training_statistics(folder, hashes),
        runtimes=_runtimes(folder, hashes),
        calibration=_calibration(folder, hashes),
    )


_BUILD_ERRORS = (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, MemoryError, AttributeError)
"""Errors of networks that are built from impossible arguments; a bundle from outside can hold any arguments."""

_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError)
"""Errors of reading a document whose structure is not the expected one."""


def _recipe(folder: Path) -> Recipe:
    try:
        return read_recipe(folder / "recipe.yaml")
    except (UsageError, NoInput) as error:
        raise ModelInvalid("MODEL_RECIPE", f"{folder.name}: {error.message}; copy the bundle again") from error


def _network(folder: Path, recipe: Recipe, *, trust_code: bool, network: NetworkObject | None) -> nn.Module:
    """Returns the network with its weights.

    It is first built on the device `meta`, without memory, and compared with the header of the weights, since a recipe
    of 1 kB can ask for a network of any size.
    """
    try:
        with torch.device("meta"):
            empty = generator_of(recipe, trust_code=trust_code, network=network)
        expected = {name: tuple(tensor.shape) for name, tensor in empty.state_dict().items()}
    except ModelInvalid as error:  # MODEL_CODE, MODEL_OBJECT
        raise ModelInvalid(error.code, f"{folder.name}: {error.message}") from error
    except (*_BUILD_ERRORS, VoxlateError) as error:
        reason = error.message if isinstance(error, VoxlateError) else type(error).__name__
        raise ModelInvalid("MODEL_RECIPE", f"{folder.name}: its recipe gives no network: {reason}") from error
    _require_shapes(tensor_shapes(folder / WEIGHTS), expected, folder.name)
    made = generator_of(recipe, trust_code=trust_code, network=network)
    made.load_state_dict(read_weights(folder / WEIGHTS))
    return made.eval()


def _require_shapes(stored: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]], name: str) -> None:
    wrong = [key for key in expected if stored.get(key) != expected[key]]
    wrong += [key for key in stored if key not in expected]
    if wrong:
        shape, right = stored.get(wrong[0], "missing"), expected.get(wrong[0], "missing")
        raise ModelInvalid(
            "MODEL_WEIGHTS",
            f"{name}: {len(wrong)} tensors do not fit the recipe; {wrong[0][:80]} is {shape} in the file, {right} in "
            "the recipe; copy the bundle again",
        )


def _mapping(folder: Path) -> tuple[Mapping, tuple[float, float]]:
    with _readable(folder, "mapping.json"):
        content = read_json(folder / "mapping.json")
        mapping = Mapping(
            float(content["gain"]),
            float(content["log_sd"]),
            int(content["n"]),
            float(content.get("offset", 0.0)),
            float(content.get("median", 1.0)),
        )
        is_spacing_known = content["spacing_mm"] is not None
        low, high = (float(value) for value in (content["spacing_mm"] if is_spacing_known else (1, 1)))
        positive = {"gain": mapping.gain, "median": mapping.median, "spacing_mm": min(low, high)}
        for key, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{key} is {value:g} and must be above 0")
        if not all(math.isfinite(value) for value in (mapping.log_sd, mapping.offset, high)) or mapping.log_sd < 0:
            raise ValueError("log_sd, offset and spacing_mm must be finite, and log_sd not below 0")
        return mapping, (low, high) if is_spacing_known else (0.0, math.inf)


@contextmanager
def _readable(folder: Path, name: str) -> Iterator[None]:
    """Refuses a bundle if the block cannot read one of its documents."""
    try:
        yield
    except _MALFORMED as error:
        reason = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise ModelInvalid("MODEL_DOCUMENT", f"{folder.name}/{name}: {reason}; copy the bundle again") from error


def _training_statistics(folder: Path, hashes: dict[str, str]) -> TrainingStatistics | None:
    if "known.json" not in hashes:
        return None
    with _readable(folder, "known.json"):
        return training_statistics_from_json(read_json(folder / "known.json"))


def _calibration(folder: Path, hashes: dict[str, str]) -> Calibration | None:
    """Returns the calibration of a bundle, which must be of its own weights."""
    if CALIBRATION_FILE not in hashes:
        return None
    with _readable(folder, CALIBRATION_FILE):
        calibration = calibration_from_json(read_json(folder / CALIBRATION_FILE))
    if calibration.members != (hashes[WEIGHTS],):
        raise ModelInvalid(
            "MODEL_MANIFEST",
            f"{folder.name}: {CALIBRATION_FILE} belongs to other weights; run `voxlate calibrate` again",
        )
    return calibration


def _runtimes(folder: Path, hashes: dict[str, str]) -> dict[str, Path]:
    """Returns the files of the runtimes that passed their test; the manifest must list all of them."""
    if RUNTIMES_FILE not in hashes:
        return {}
    with _readable(folder, RUNTIMES_FILE):
        content = read_json(folder / RUNTIMES_FILE)
        passed = {name: list(each["files"]) for name, each in content["runtimes"].items() if each["passed"]}
        lacking = [file for files in passed.values() for file in files if file not in hashes]
        if not all(passed.values()):
            raise ValueError("a runtime has no file")
        weights_sha256 = content["weights_sha256"]
    if lacking or weights_sha256 != hashes[WEIGHTS]:
        raise ModelInvalid(
            "MODEL_MANIFEST", f"{folder.name}: {RUNTIMES_FILE} belongs to other weights; run `voxlate accelerate` again"
        )
    return {name: folder / files[0] for name, files in passed.items()}


def add_to_bundle(folder: Path, files: list[str]) -> None:
    """Adds files in the folder of a bundle to its manifest."""
    manifest = read_json(folder / MANIFEST)
    manifest["files"] |= {name: sha256(folder / name) for name in files}
    write_json(folder / MANIFEST, manifest)


def remove_from_bundle(folder: Path, files: list[str]) -> None:
    """Removes files from a bundle: first from its manifest, so that the bundle is valid if this is interrupted."""
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
        raise ModelInvalid("MODEL_MISSING", f"{folder.name}: it has no {MANIFEST}; give the folder of a trained bundle")
    try:
        manifest = read_json(path)
        hashes: dict[str, str] = dict(manifest["files"])
        required = {WEIGHTS, "recipe.yaml", "mapping.json"} - set(hashes)
        if not all(isinstance(value, str) for value in hashes.values()):
            raise TypeError("a hash is not text")
    except _MALFORMED as error:
        raise ModelInvalid(
            "MODEL_MANIFEST", f"{folder.name}: {MANIFEST} cannot be read; copy the bundle again"
        ) from error
    if manifest.get("format") != FORMAT or required or any(not _is_file_name(name) for name in hashes):
        raise ModelInvalid("MODEL_MANIFEST", f"{folder.name}: {MANIFEST} is not of format {FORMAT} or lacks a file")
    for name, expected in hashes.items():
        actual = sha256(folder / name) if (folder / name).is_file() else "nothing"
        if actual != expected:
            raise ModelInvalid(
                "MODEL_HASH",
                f"{folder.name}/{name}: expected {expected[:12]}…, found {actual[:12]}…; copy the bundle again",
            )
    return hashes


def _is_file_name(name: str) -> bool:
    return Path(name).name == name and name.isprintable()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file by name, checked more strictly than the format demands.

    Raises:
        ModelInvalid: `MODEL_WEIGHTS` (not safetensors, a key twice) or `MODEL_NAN`.
    """
    tensor_shapes(path)
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelInvalid("MODEL_WEIGHTS", f"{path.name}: not a valid safetensors file: {error}") from error
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelInvalid("MODEL_NAN", f"{path.name}: {name} holds values that are not finite")
    return weights


MAX_HEADER_BYTES = MAX_TEXT_BYTES
"""Largest header of a safetensors file; the largest network here has 700 tensors and a header of 70 kB."""


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of all tensors by name, from the header of a safetensors file alone.

    Raises:
        ModelInvalid: `MODEL_WEIGHTS` when the header is malformed, has more than `MAX_HEADER_BYTES`, or a key twice.
    """
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if size > MAX_HEADER_BYTES:
                raise ValueError(f"the header has {size:,} bytes; {MAX_HEADER_BYTES:,} are read at most")
            header = json.loads(stream.read(size), object_pairs_hook=_unique)
        return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except RecursionError as error:
        raise ModelInvalid("MODEL_WEIGHTS", f"{path.name}: not a valid safetensors file: nested too deeply") from error
    except _MALFORMED as error:
        raise ModelInvalid("MODEL_WEIGHTS", f"{path.name}: not a valid safetensors file: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if repeated:
        raise ValueError(f"the key {repeated[0]} is there twice")
    return dict(pairs)
