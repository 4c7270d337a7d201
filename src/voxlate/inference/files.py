"""Translates one scan on disk: writes the synthetic volume and a sidecar with its provenance.

NIfTI in, NIfTI out; DICOM in, NIfTI or a DICOM series out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.calibration import Calibration
from voxlate.bundle.settings import Use
from voxlate.cases import MORE
from voxlate.errors import InputRefused
from voxlate.inference.bids_app import sidecar_of
from voxlate.inference.calibration import require_same_members, require_several_predictions
from voxlate.inference.contrast_check import T1_WEIGHTED, check_contrast
from voxlate.inference.item import Item
from voxlate.inference.memory import require_memory
from voxlate.inference.paths import require_paths
from voxlate.inference.translate import Options, Synthesis, translate_volume
from voxlate.io.atomic import json_text, replacing, replacing_folder, require_free_folder
from voxlate.io.bids import require_valid_scan
from voxlate.io.dicom import DicomScan
from voxlate.io.nifti import nifti_stem, nifti_suffix, read_grid, read_volume, sidecar_path, write_volume
from voxlate.io.scans import Scan, read_scan
from voxlate.version import __version__
from voxlate.volume import Volume

_PURPOSE: dict[Use, str] = {
    "any": "Not for diagnosis.",
    "research": "For research only, not for diagnosis: an image without a finding does not rule it out.",
    "demonstration": "A demonstration of what is possible. Not for diagnosis, nor for measurements.",
}
"""End of the description of each result, by the use of its model."""


def translate_file(
    bundle: Bundle,
    item: Item | Path,
    output: Path,
    *,
    spread: Path | None = None,
    options: Options | None = None,
    overwrite: bool = False,
) -> Synthesis:
    """Translates one scan; volume and sidecar are either both replaced or both left as they were.

    Args:
        bundle: a trained model.
        item: paths of the scan, its mask and its additional sources; a path for a scan alone.
        output: a NIfTI file or, for a DICOM source, a new folder for a DICOM series.
        spread: NIfTI file for the uncertainty: the standard deviation of several predictions, or their expected error.
        options: see `Options`; None for the defaults.
        overwrite: replace files that exist already.

    Raises:
        VoxlateError: what `require_paths`, reading, `translate_volume` and writing raise; `ONE_ANSWER` when a spread is
            asked of a single prediction.
    """
    files = Item(nifti_stem(item), item) if isinstance(item, Path) else item
    require_paths(files, output, spread, overwrite=overwrite)
    chosen = options or Options()
    if spread is not None:
        _require_spread(bundle, chosen)
    if files.output is not None:
        require_valid_scan(files.source)
    if nifti_suffix(files.source):  # the DICOM reader has limits of its own
        require_memory(read_grid(files.source).shape, chosen.memory_gib, name=files.source.name)
    scan = read_scan(files.source, shows=bundle.recipe.source, series=files.series, unmarked=chosen.unmarked_dicom)
    if not nifti_suffix(output):
        _require_series(bundle, output, scan)
    check_contrast(scan, files.source, bundle.recipe, gate=chosen.gate, name=files.name)
    brain = None if files.mask is None else read_volume(files.mask, shows="mask")
    others = {name: read_scan(path, shows=name, unmarked=chosen.unmarked_dicom) for name, path in files.more.items()}
    more = {name: other.volume for name, other in others.items()}
    synthesis = translate_volume(bundle, scan.volume, brain, more=more, options=chosen, name=files.name)
    content = provenance(bundle, synthesis, input_sha256=scan.sha256, options=chosen)
    if files.output is not None:
        content |= sidecar_of(files.bids_paths["source"], {name: files.bids_paths[MORE + name] for name in files.more})
    content["Synthetic"]["MoreSources"] = {name: other.sha256 for name, other in others.items()}
    if spread is not None:
        uncertainty = cast("Volume", synthesis.spread)  # `_require_spread` has seen that there are several predictions
        _write_spread(spread, uncertainty, synthesis.predictions, content, chosen.calibration, _model_label(bundle))
    # Both files say that the image is synthetic. Both are complete before the first one is renamed.
    with replacing(sidecar_path(output)) as partial:
        partial.write_text(json_text(content), encoding="utf-8")
        if nifti_suffix(output):
            write_volume(output, synthesis.volume, synthetic=_model_label(bundle))
        else:
            write_dicom(output, bundle, synthesis, scan, others, has_synthetic_tag=chosen.synthetic_tag)
    return synthesis


def _model_label(bundle: Bundle) -> str:
    return f"{bundle.name} {bundle.weights_sha256[:8]}, voxlate {__version__}"


def _require_spread(bundle: Bundle, options: Options) -> None:
    """Refuses a spread that cannot be made, before the time of a translation is spent.

    Raises:
        UsageError: `CALIBRATION`, `ONE_ANSWER`.
    """
    if options.calibration is not None:
        require_same_members(options.calibration, bundle, mirror=options.mirror)
    require_several_predictions(bundle, mirror=options.mirror)


def _require_series(bundle: Bundle, folder: Path, scan: Scan) -> DicomScan:
    """Returns the DICOM source of a series to be written; refuses one that cannot be, before a translation is made.

    Raises:
        InputRefused: `DICOM_TARGET`.
        UsageError: `FOLDER_OCCUPIED`.
    """
    if bundle.recipe.target == "CT" or scan.dicom is None:
        raise InputRefused(
            "DICOM_TARGET", f"a synthetic {bundle.recipe.target} cannot be written as DICOM; write it as NIfTI"
        )
    require_free_folder(folder)
    return scan.dicom


def _write_spread(
    path: Path,
    spread: Volume,
    predictions: int,
    content: dict[str, Any],
    calibration: Calibration | None,
    model_label: str,
) -> None:
    text, short = f"Standard deviation of {predictions} predictions of a network", "SD"
    if calibration is not None:
        text, short = f"Expected error, calibrated on {calibration.cases} cases", "error"  # a header has 79 letters
        content = content | {"Calibration": asdict(calibration)}
    content = content | {"Description": f"{text}. {content['Description']}"}
    with replacing(sidecar_path(path)) as partial:
        partial.write_text(json_text(content), encoding="utf-8")
        write_volume(path, spread, dtype="float32", synthetic=f"{short} of {model_label}")


def write_dicom(
    folder: Path,
    bundle: Bundle,
    synthesis: Synthesis,
    scan: Scan,
    others: Mapping[str, Scan],
    *,
    has_synthetic_tag: bool = True,
) -> None:
    """Writes a synthetic volume as a series in the study of its source; the whole folder or nothing.

    Args:
        folder: a new folder.
        bundle: the model that made the volume.
        synthesis: the synthetic volume, on the grid of the scan.
        scan: the DICOM source.
        others: additional sources, by contrast.
        has_synthetic_tag: write the attribute SyntheticData.

    Raises:
        InputRefused: `DICOM_TARGET` for a target that is not an MR image; what `derived_series` refuses.
        UsageError: `FOLDER_OCCUPIED`.
    """
    from voxlate.io.dicom.derived import Derivation, derived_series

    recipe = bundle.recipe
    source = _require_series(bundle, folder, scan)
    derivation = Derivation(
        recipe.source,
        recipe.target,
        bundle.name,
        bundle.weights_sha256,
        bundle.recipe_sha256,
        __version__,
        keeps_acquisition={recipe.source, recipe.target} <= T1_WEIGHTED,  # they differ by the agent only
        is_brain_only=recipe.preparation.frame == "native",
        has_synthetic_tag=has_synthetic_tag,
        warning="its source is unlike the scans of the training" if synthesis.flag else "",
    )
    sources = {name: other.dicom for name, other in others.items() if other.dicom is not None}
    slices = derived_series(synthesis.volume, source, derivation, others=sources, taken_numbers=scan.numbers)
    with replacing_folder(folder) as partial:
        for k, dataset in enumerate(slices, start=1):
            dataset.save_as(partial / f"IM_{k:04d}.dcm", enforce_file_format=True)


def provenance(bundle: Bundle, synthesis: Synthesis, *, input_sha256: str, options: Options) -> dict[str, Any]:
    """Returns the sidecar of a synthetic volume: BIDS fields and the `Synthetic` object.

    A network whose output is in shares of the whole range of a scan has `IntensityUnit`: the output was
    value / Level − Offset.

    Args:
        bundle: the model that made the volume.
        synthesis: the synthetic volume and its values.
        input_sha256: hash of the source file.
        options: options of the translation.
    """
    recipe = bundle.recipe
    content: dict[str, Any] = {
        "Description": f"Synthetic {recipe.target} made from {recipe.from_what} by a network. {_PURPOSE[recipe.use]}",
        "SkullStripped": recipe.preparation.frame == "native",
        "Synthetic": {
            "IsSynthetic": True,
            "Task": f"{recipe.source} to {recipe.target}",
            "Use": recipe.use,
            "ModelName": bundle.name,
            "ModelSHA256": bundle.weights_sha256,
            "Members": list(bundle.members),
            "ConfigSHA256": bundle.recipe_sha256,
            "InputSHA256": input_sha256,
            "Predictions": synthesis.predictions,
            "MissingSources": list(synthesis.missing),
            "ImputedSources": dict(synthesis.imputed),
            "SoftwareVersion": __version__,
            "Seed": recipe.training.seed,
            "Device": options.device.type,
            "Runtime": options.runtime,
            "Window": None if synthesis.window is None else list(synthesis.window),
            "Like": None if options.like is None else options.like.to_json() | {"By": _like_by(synthesis)},
            "VoxelsOfNetwork": None if synthesis.voxels_mm is None else list(synthesis.voxels_mm),
            "Deterministic": options.device.type == "cpu",
            "ReferenceLevel": synthesis.reference_level,
            "SourceReferenceLevel": synthesis.source_level,
            "QC": {
                "BrainVoxels": synthesis.brain_voxels,
                "BrainMask": None if synthesis.brain is None else synthesis.brain.to_json(),
                "GainLogSD": bundle.mapping.log_sd,
                "Gate": None if synthesis.distance is None else asdict(synthesis.distance),
            },
        },
    }
    preparation = recipe.preparation
    if preparation.frame == "t1_linear" and (preparation.target_reference or preparation.reference) == "min_max":
        unit = {"Reference": "min_max", "Level": synthesis.source_level * bundle.mapping.gain}
        content["Synthetic"]["IntensityUnit"] = {**unit, "Offset": bundle.mapping.offset}
    if recipe.target == "T1ce":
        content["ContrastBolusIngredient"] = "NONE"
    return content


def _like_by(synthesis: Synthesis) -> str:
    """Returns what gave the contrast of a reference."""
    return "network and curve" if synthesis.is_like_of_network else "curve"
