"""Exports the network of a bundle to ONNX or OpenVINO, with a JSON file that describes its input and output."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from voxlate.bundle.bundle import Bundle, read_bundle
from voxlate.errors import MissingLibrary, ModelInvalid, UsageError
from voxlate.inference.runtime.openvino import TOLERANCE, convert, difference, read_model, save_model, size_multiple
from voxlate.io.atomic import replacing, sha256, write_json
from voxlate.version import __version__


def export_network(folder: Path, output: Path) -> None:
    """Writes the network as .onnx or .xml (OpenVINO), checked against torch on noise, and a JSON file beside it.

    The check uses another size than the trace: a network that keeps a size of its trace as a number is refused.

    Args:
        folder: folder of the bundle.
        output: path of the network; its suffix decides the format.

    Raises:
        UsageError: `OUTPUT_NAME`, `MISSING_LIBRARY`.
        ModelInvalid: `RUNTIME` when the exported network's output differs from torch's, or the export fails.
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    bundle = read_bundle(folder)
    if output.suffix == ".xml":
        save_model(convert(bundle.network, 1 + len(bundle.recipe.more_sources)), output)
    elif output.suffix == ".onnx":
        _write_onnx(bundle, output)
    else:
        raise UsageError("OUTPUT_NAME", f"{output.name}: the file of a network must end in .onnx or .xml")
    write_json(output.with_suffix(".json"), contract(bundle, output))


def contract(bundle: Bundle, output: Path) -> dict[str, Any]:
    """Returns the content of the JSON file: input, output, sizes, voxel spacing and preprocessing of the network."""
    recipe = bundle.recipe
    return {
        "file": output.name,
        "sha256": sha256(output),
        "software": f"voxlate {__version__}",
        "model": bundle.name,
        "weights_sha256": bundle.weights_sha256,
        "input": {"shape": "(1, C, D, H, W), axes right, anterior, superior", "channels": list(_channels(bundle))},
        "output": {"shape": "(1, 1, D, H, W)", "shows": f"synthetic {recipe.target}, relative units"},
        "sizes_multiple_of": size_multiple(bundle.network),
        "spacing_mm": list(bundle.spacing_mm) if bundle.spacing_mm[0] else None,  # None: not known
        "preparation": recipe.preparation.model_dump(mode="json"),
        "notice": "Output is synthetic and not for diagnosis. Without the preparation of voxlate it means nothing.",
    }


def _channels(bundle: Bundle) -> tuple[str, ...]:
    return (bundle.recipe.source, *bundle.recipe.more_sources)


def _write_onnx(bundle: Bundle, output: Path) -> None:
    try:
        importlib.import_module("onnx")
        importlib.import_module("onnxscript")
    except ImportError as error:
        raise MissingLibrary("MISSING_LIBRARY", "ONNX is not installed: pip install 'voxlate[fast]'") from error
    network = bundle.network.cpu().eval()
    unit, channels = max(32, size_multiple(network)), len(_channels(bundle))
    generator = torch.Generator().manual_seed(0)
    sample = torch.rand(1, channels, unit, 2 * unit, unit, generator=generator)
    other = torch.rand(1, channels, 2 * unit, unit, 2 * unit, generator=generator)  # no axis as in the trace
    sizes = {2: "depth", 3: "height", 4: "width"}
    with replacing(output) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                network,
                (sample,),
                partial,
                dynamo=False,
                input_names=["source"],
                output_names=["synthetic"],
                dynamic_axes={"source": sizes, "synthetic": sizes},
                opset_version=17,
            )
        except Exception as error:  # the exporter raises errors of many types
            raise ModelInvalid(
                "RUNTIME", f"{bundle.name} cannot be exported to ONNX; export to OpenVINO (.xml) instead"
            ) from error
        _require_same(network, partial, (sample, other))


def _require_same(network: torch.nn.Module, path: Path, samples: Sequence[torch.Tensor]) -> None:
    """Compares the outputs of the exported network, run by OpenVINO, with torch's."""
    exported = read_model(path, factor=1)
    for sample in samples:
        size = " x ".join(map(str, sample.shape[2:]))
        try:
            with torch.no_grad():
                error = difference(exported(sample), network(sample))
        except (RuntimeError, UsageError) as cause:
            raise ModelInvalid(
                "RUNTIME", f"the exported network cannot be run on {size} voxels; export to OpenVINO (.xml) instead"
            ) from cause
        if not error <= TOLERANCE:  # `not <=` also catches NaN
            raise ModelInvalid(
                "RUNTIME", f"the exported network differs from torch by {error:.2g} (relative RMS) on {size} voxels"
            )
