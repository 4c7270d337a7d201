"""Medical image-to-image translation, from scans to a measured result.

The public functions and classes are listed in `__all__`; each is loaded when it is first used, so that
`import voxlate` takes milliseconds.

    >>> import voxlate
    >>> subject = voxlate.simulate("t1ce_t1", seed=1)         # a pair of simulated scans with its truth
    >>> subject.images["T1ce"].grid.shape
    (96, 120, 96)

A typical run, from files to a report:

    import voxlate
    from pathlib import Path

    recipe = voxlate.read_recipe(Path("recipes/t1ce_to_t1.yaml"))
    voxlate.train(recipe, Path("runs/mine"))
    bundle = voxlate.load_bundle("runs/mine/bundle")      # or a pretrained model: "t1ce-to-t1"
    result = voxlate.translate(bundle, voxlate.read(Path("t1ce.nii.gz")))
    voxlate.write(Path("synthetic.nii.gz"), result.volume)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from voxlate.version import __version__

if TYPE_CHECKING:
    from voxlate.bundle.bundle import Bundle
    from voxlate.bundle.pretrained import load_bundle
    from voxlate.bundle.recipe import Recipe, read_recipe
    from voxlate.cases import Case, read_cases, write_cases
    from voxlate.errors import VoxlateError
    from voxlate.evaluation.run import evaluate_cases as evaluate
    from voxlate.inference.translate import translate_volume as translate
    from voxlate.io.nifti import read_volume as read
    from voxlate.io.nifti.write import write_volume as write
    from voxlate.preparation.register_pair import prepare_pair as prepare
    from voxlate.reporting.page import write_report as report
    from voxlate.simulation.subject import simulate_subject as simulate
    from voxlate.training.loop import train
    from voxlate.volume import Volume

_PUBLIC = {
    "Bundle": "bundle.bundle:Bundle",
    "Case": "cases:Case",
    "Recipe": "bundle.recipe:Recipe",
    "Volume": "volume:Volume",
    "VoxlateError": "errors:VoxlateError",
    "evaluate": "evaluation.run:evaluate_cases",
    "load_bundle": "bundle.pretrained:load_bundle",
    "prepare": "preparation.register_pair:prepare_pair",
    "read": "io.nifti:read_volume",
    "read_cases": "cases:read_cases",
    "read_recipe": "bundle.recipe:read_recipe",
    "report": "reporting.page:write_report",
    "simulate": "simulation.subject:simulate_subject",
    "train": "training.loop:train",
    "translate": "inference.translate:translate_volume",
    "write": "io.nifti.write:write_volume",
    "write_cases": "cases:write_cases",
}
"""Public name to module and attribute."""

__all__ = [
    "Bundle",
    "Case",
    "Recipe",
    "Volume",
    "VoxlateError",
    "__version__",
    "evaluate",
    "load_bundle",
    "prepare",
    "read",
    "read_cases",
    "read_recipe",
    "report",
    "simulate",
    "train",
    "translate",
    "write",
    "write_cases",
]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PUBLIC[name].split(":")
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
