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
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from voxlate import __version__
from voxlate.errors import ModelInvalid
from voxlate.io.atomic import replacing, sha256, write_json, write_text
from voxlate.train.known import Known, known_from_json
from voxlate.train.network import generator_of
from voxlate.train.recipe import Recipe, read_recipe, recipe_text

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
        known: what its training scans look like, or None in a bundle from before that was kept.
        runtimes: files of the network for other runtimes that may be used, by name; see `voxlate.synth.runtime`.
    """

    name: str
    recipe: Recipe
    mapping: Mapping
    network: nn.Module
    weights_sha256: str
    recipe_sha256: str
    spacing_mm: tuple[float, float]
    parts: tuple[Bundle, ...] = ()
    known: Known | None = None
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


def read_bundle(folder: Path) -> Bundle:
    """Reads and verifies a bundle.

    Raises:
        ModelInvalid: `MODEL_MISSING`, `MODEL_MANIFEST`, `MODEL_HASH`, `MODEL_WEIGHTS` (not safetensors, a key twice,
            other shapes than the network's), `MODEL_NAN`.
    """
    hashes = verify_bundle(folder)
    recipe = read_recipe(folder / "recipe.yaml")
    network = generator_of(recipe)
    weights = read_weights(folder / WEIGHTS)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelInvalid("MODEL_WEIGHTS", f"{folder.name}: the weights do not fit the recipe: {reason}") from error
    network.eval()
    content = json.loads((folder / "mapping.json").read_text(encoding="utf-8"))
    mapping = Mapping(
        content["gain"], content["log_sd"], content["n"], content.get("offset", 0.0), content.get("median", 1.0)
    )
    low, high = content["spacing_mm"]
    return Bundle(
        recipe.name,
        recipe,
        mapping,
        network,
        hashes[WEIGHTS],
        hashes["recipe.yaml"],
        spacing_mm=(low, high),
        known=_known(folder, hashes),
        runtimes=_runtimes(folder, hashes),
    )


def _known(folder: Path, hashes: dict[str, str]) -> Known | None:
    if "known.json" not in hashes:
        return None
    return known_from_json(json.loads((folder / "known.json").read_text(encoding="utf-8")))


def _runtimes(folder: Path, hashes: dict[str, str]) -> dict[str, Path]:
    """Returns the files of the runtimes that passed, all of which the manifest must know."""
    if RUNTIMES_FILE not in hashes:
        return {}
    content = json.loads((folder / RUNTIMES_FILE).read_text(encoding="utf-8"))
    passed = {name: each["files"] for name, each in content["runtimes"].items() if each["passed"]}
    lacking = [file for files in passed.values() for file in files if file not in hashes]
    if lacking or content["weights_sha256"] != hashes[WEIGHTS]:
        raise ModelInvalid(
            "MODEL_MANIFEST", f"{folder.name}: {RUNTIMES_FILE} does not belong to these weights; make it again"
        )
    return {name: folder / files[0] for name, files in passed.items()}


def add_to_bundle(folder: Path, files: list[str]) -> None:
    """Adds files that were written into a bundle to its manifest."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"] |= {name: sha256(folder / name) for name in files}
    write_json(folder / MANIFEST, manifest)


def remove_from_bundle(folder: Path, files: list[str]) -> None:
    """Takes files out of the manifest of a bundle and then away, so that it is whole whenever this is interrupted."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
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
        manifest = json.loads(path.read_text(encoding="utf-8"))
        hashes: dict[str, str] = manifest["files"]
        required = {WEIGHTS, "recipe.yaml", "mapping.json"} - set(hashes)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelInvalid(
            "MODEL_MANIFEST", f"{folder.name}: {MANIFEST} cannot be read; copy the bundle again"
        ) from error
    if manifest.get("format") != FORMAT or required or any(Path(name).name != name for name in hashes):
        raise ModelInvalid("MODEL_MANIFEST", f"{folder.name}: {MANIFEST} is not of format {FORMAT} or lacks a file")
    for name, expected in hashes.items():
        found = sha256(folder / name) if (folder / name).is_file() else "nothing"
        if found != expected:
            raise ModelInvalid(
                "MODEL_HASH",
                f"{folder.name}/{name}: expected {expected[:12]}…, found {found[:12]}…; copy the bundle again",
            )
    return hashes


def read_weights(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file, refusing what that format lets pass.

    Raises:
        ModelInvalid: `MODEL_WEIGHTS` (not safetensors, a key twice) or `MODEL_NAN`.
    """
    try:
        weights: dict[str, Tensor] = load_file(path)
        _require_unique_keys(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelInvalid("MODEL_WEIGHTS", f"{path.name}: not a sound safetensors file: {error}") from error
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelInvalid("MODEL_NAN", f"{path.name}: {name} holds values that are not finite")
    return weights


def _require_unique_keys(path: Path) -> None:
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = stream.read(size)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]} stands twice")
        return dict(pairs)

    json.loads(header, object_pairs_hook=unique)
