"""Pretrained bundles by name: those in the package, and those in the folder that `VOXLATE_MODELS` names."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.errors import ModelInvalid, NoInput, nearest

if TYPE_CHECKING:
    from voxlate.bundle.bundle import Bundle
    from voxlate.bundle.networks import NetworkObject

MODELS_VARIABLE = "VOXLATE_MODELS"
"""Environment variable with a folder of bundles, one subfolder each; they come before those of the package."""

_MANIFEST, _CARD = "manifest.json", "card.md"


def pretrained_models() -> dict[str, Path]:
    """Returns the folders of the pretrained bundles by name, sorted."""
    folders = [Path(str(resources.files("voxlate") / "pretrained"))]
    if os.environ.get(MODELS_VARIABLE):
        folders.append(Path(os.environ[MODELS_VARIABLE]))
    found = {path.parent.name: path.parent for folder in folders for path in folder.glob(f"*/{_MANIFEST}")}
    return dict(sorted(found.items()))


def find_bundle(model: str | Path) -> Path:
    """Returns the folder of a bundle given by its path or by the name of a pretrained model.

    Raises:
        ModelInvalid: `MODEL_MISSING` when the path does not exist and no model has this name.
    """
    path = Path(model)
    if path.exists():
        return path
    models = pretrained_models()
    if str(model) in models:
        return models[str(model)]
    hint = nearest(path.name, models)
    raise ModelInvalid(
        "MODEL_MISSING",
        f"{path.name}: no such folder and no pretrained model of this name{hint}; `voxlate models` lists the models",
    )


def load_bundle(model: str | Path, *, trust_code: bool = False, network: NetworkObject | None = None) -> Bundle:
    """Reads and verifies a bundle given by its path or by the name of a pretrained model.

    Args:
        model: for example `runs/mine/bundle` or `t1ce-to-t1`.
        trust_code: import the module of a network outside voxlate, which runs its code.
        network: the network that was passed to `voxlate.train` as a Python object, or its class.

    Raises:
        ModelInvalid: `MODEL_MISSING`, and what `voxlate.bundle.bundle.read_bundle` refuses.

    Example:
        >>> bundle = load_bundle("t1ce-to-t1")
        >>> bundle.recipe.source, bundle.recipe.target
        ('T1ce', 'T1nce')
    """
    from voxlate.bundle.bundle import read_bundle

    return read_bundle(find_bundle(model), trust_code=trust_code, network=network)


def model_card(name: str) -> str:
    """Returns the card of a pretrained model as Markdown.

    Raises:
        ModelInvalid: `MODEL_MISSING`; `MODEL_DOCUMENT` for a calibration that is none.
        NoInput: `NO_INPUT` when the bundle has no card.
    """
    folder = find_bundle(name)
    if not (folder / _CARD).is_file():
        raise NoInput("NO_INPUT", f"{name}: the bundle has no {_CARD}")
    return (folder / _CARD).read_text(encoding="utf-8") + _expected_error(folder)


def _expected_error(folder: Path) -> str:
    """Returns the section of the card on the calibration that the bundle holds; empty if it holds none."""
    from voxlate.bundle.calibration import CALIBRATION_FILE
    from voxlate.io.documents import read_json

    if not (folder / CALIBRATION_FILE).is_file():
        return ""
    try:
        content = read_json(folder / CALIBRATION_FILE)
        lines = [
            f"- {name}: {100 * each['within_one']:.0f} % within it, {100 * each['within_two']:.0f} % within twice of "
            f"it; rank correlation with the error of a voxel {each['correlation']:.2f}."
            for name, each in content["by_split"].items()
        ]
        cases = int(content["calibration"]["cases"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelInvalid(
            "MODEL_DOCUMENT", f"{folder.name}/{CALIBRATION_FILE} is not a calibration; copy the bundle again"
        ) from error
    about = (
        f"`voxlate translate --uncertainty FILE` writes the expected error of each voxel, fitted on {cases} cases. "
        "Normally distributed errors would be within it in 68 % of the voxels, and within twice of it in 95 %."
    )
    return "\n".join(["\n## Expected error", about, *lines]) + "\n"


def summary_line(name: str) -> str:
    """Returns the first line of a model's card: what it translates, its training data, what it is not for."""
    lines = [line.strip() for line in model_card(name).splitlines() if line.strip() and not line.startswith("#")]
    return lines[0] if lines else ""
