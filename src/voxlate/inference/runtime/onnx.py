"""Exports the network of a bundle to ONNX or OpenVINO, with a JSON file that describes its input and output."""

from __future__ import annotations

import importlib
import warnings
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
    unit = max(32, size_multiple(network))
    sample = torch.rand(1, len(_channels(bundle)), unit, 2 * unit, unit, generator=torch.Generator().manual_seed(0))
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
        _require_same(network, partial, sample)


def _require_same(network: torch.nn.Module, path: Path, sample: torch.Tensor) -> None:
    """Compares the output of the exported network, run by OpenVINO, with torch's."""
    exported = read_model(path, factor=1)
    with torch.no_grad():
        error = difference(exported(sample), network(sample))
    if not error <= TOLERANCE:  # `not <=` also catches NaN
        raise ModelInvalid("RUNTIME", f"the exported network differs from torch by {error:.2g} (relative RMS)")
