"""A synthetic volume as a file, with the sidecar that says that it is synthetic and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from voxlate import __version__
from voxlate.errors import UsageError
from voxlate.io.atomic import sha256, write_json
from voxlate.io.nifti import read_volume, write_volume
from voxlate.synth.translator import Options, Synthesis, translate_volume
from voxlate.train.bundle import Bundle

_SUFFIXES = (".nii.gz", ".nii")


def sidecar_path(volume: Path) -> Path:
    """Returns the place of the JSON beside a NIfTI file.

    Raises:
        UsageError: `OUTPUT_NAME` when the name does not end in .nii or .nii.gz.
    """
    for suffix in _SUFFIXES:
        if volume.name.endswith(suffix):
            return volume.with_name(volume.name.removesuffix(suffix) + ".json")
    raise UsageError("OUTPUT_NAME", f"{volume.name}: an output ends in .nii or .nii.gz")


def translate_file(
    bundle: Bundle,
    source: Path,
    output: Path,
    *,
    mask: Path | None = None,
    more: Mapping[str, Path] | None = None,
    spread: Path | None = None,
    options: Options | None = None,
) -> Synthesis:
    """Translates one file; the volume is written first and its sidecar last, each whole or not at all.

    Raises:
        VoxlateError: what reading, `translate_volume` and writing raise; `OUTPUT_IS_INPUT`; `ONE_ANSWER` when there
            is nothing to take a spread of.
    """
    sidecar = sidecar_path(output)
    _require_apart([source, mask, *(more or {}).values()], [output, spread])
    scan = read_volume(source, shows=bundle.recipe.source)
    brain = None if mask is None else read_volume(mask, shows="mask")
    others = {name: read_volume(path, shows=name) for name, path in (more or {}).items()}
    chosen = options or Options()
    synthesis = translate_volume(bundle, scan, brain, more=others, options=chosen)
    content = provenance(bundle, synthesis, input_sha256=sha256(source), device=chosen.device)
    content["Synthetic"]["MoreSources"] = {name: sha256(path) for name, path in (more or {}).items()}
    if spread is not None:
        _write_spread(spread, synthesis, content)
    sidecar.unlink(missing_ok=True)
    write_volume(output, synthesis.volume)
    write_json(sidecar, content)
    return synthesis


def _require_apart(inputs: Sequence[Path | None], outputs: Sequence[Path | None]) -> None:
    taken = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path is None:
            continue
        if path.resolve() in taken:
            raise UsageError("OUTPUT_IS_INPUT", f"{path.name} is an input or the other output; name another output")
        taken.add(path.resolve())


def _write_spread(path: Path, synthesis: Synthesis, content: dict[str, Any]) -> None:
    sidecar = sidecar_path(path)
    if synthesis.spread is None:
        raise UsageError("ONE_ANSWER", "a spread needs several bundles, or --mirror")
    text = f"Standard deviation of {synthesis.answers} answers of a network. {content['Description']}"
    sidecar.unlink(missing_ok=True)
    write_volume(path, synthesis.spread, dtype="float32")
    write_json(sidecar, content | {"Description": text})


def provenance(bundle: Bundle, synthesis: Synthesis, *, input_sha256: str, device: torch.device) -> dict[str, Any]:
    """Returns the sidecar of a synthetic volume: BIDS fields and the `Synthetic` object."""
    recipe = bundle.recipe
    content: dict[str, Any] = {
        "Description": f"Synthetic {recipe.target} made from {recipe.from_what} by a network. Not for diagnosis.",
        "SkullStripped": recipe.preparation.frame == "native",
        "Synthetic": {
            "IsSynthetic": True,
            "Task": f"{recipe.source} to {recipe.target}",
            "ModelName": bundle.name,
            "ModelSHA256": bundle.weights_sha256,
            "Members": list(bundle.members),
            "ConfigSHA256": bundle.recipe_sha256,
            "InputSHA256": input_sha256,
            "Answers": synthesis.answers,
            "MissingSources": list(synthesis.missing),
            "ImputedSources": dict(synthesis.imputed),
            "SoftwareVersion": __version__,
            "Seed": recipe.training.seed,
            "Device": device.type,
            "Deterministic": device.type == "cpu",
            "ReferenceLevel": synthesis.reference_level,
            "SourceReferenceLevel": synthesis.source_level,
            "QC": {"BrainVoxels": synthesis.brain_voxels, "GainLogSD": bundle.mapping.log_sd},
        },
    }
    if recipe.target == "T1ce":
        content["ContrastBolusIngredient"] = "NONE"
    return content
