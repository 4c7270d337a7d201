"""Medical image-to-image translation, from scans to a measured result.

The steps, in their order. Each is a function here and a verb of the command line (`voxlate train …`); they meet through
files, so that each can be repeated alone:

    prepare          registers raw pairs and extracts the brain; pairs that are aligned do not need it
    train            trains a network on a table of cases, on scans in memory, or on a dataset of your own
    translate        translates one scan; `translate_cases` translates the scans of a table
    evaluate         compares synthetic images with real ones, beside baselines, with statistics
    report           writes the results as one HTML page
    simulate         makes patients with known truth, to try all of this without data

A simulated patient, whose scans need no file:

    >>> import voxlate
    >>> patient = voxlate.simulate("t1ce_t1", seed=1)
    >>> patient.images["T1ce"].spacing_mm
    (2.0, 2.0, 2.0)

With a pretrained model (`voxlate models` on the command line lists them):

    scan = voxlate.read("T1ce.nii.gz")        # with or without skull
    result = voxlate.translate("t1ce-to-t1", scan)
    voxlate.write("synthetic.nii.gz", result.volume)

With a model of your own, from a table of cases (`cases.tsv`) to a page:

    bundle = voxlate.train("my.yaml", "runs/mine", data="cases.tsv")
    voxlate.translate_cases(bundle, "cases.tsv", "synthetic")
    voxlate.evaluate("cases.tsv", "synthetic", "evaluation", model=bundle)
    voxlate.report("evaluation", "report.html")

On arrays, with a network and a loss of your own:

    pairs = [voxlate.Pair("case01", source=t1ce, target=t1, mask=brain), …]
    recipe = voxlate.Recipe(name="mine", source="T1ce", target="T1nce", training={"steps": 1000})
    bundle = voxlate.train(recipe, "runs/mine", data=pairs, network=MyNet, loss=my_loss)

Every function raises a `VoxlateError`, with a stable code and one line that says what to do.
`docs/how-to/python.md` has the guide, `docs/tutorials/tutorial.ipynb` a notebook.
Synthetic images are not for diagnosis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from voxlate.version import __version__

if TYPE_CHECKING:
    from voxlate.api.networks import train, translate, translate_cases
    from voxlate.api.results import evaluate, report
    from voxlate.api.scans import prepare, read, simulate, write
    from voxlate.bundle.bundle import Bundle
    from voxlate.bundle.pretrained import load_bundle
    from voxlate.bundle.recipe import Recipe, read_recipe
    from voxlate.cases import Case, read_cases, write_cases
    from voxlate.errors import VoxlateError
    from voxlate.pairs import Pair, write_pairs
    from voxlate.volume import Volume

_PUBLIC = {
    "Bundle": "bundle.bundle",
    "Case": "cases",
    "Pair": "pairs",
    "Recipe": "bundle.recipe",
    "Volume": "volume",
    "VoxlateError": "errors",
    "evaluate": "api.results",
    "load_bundle": "bundle.pretrained",
    "prepare": "api.scans",
    "read": "api.scans",
    "read_cases": "cases",
    "read_recipe": "bundle.recipe",
    "report": "api.results",
    "simulate": "api.scans",
    "train": "api.networks",
    "translate": "api.networks",
    "translate_cases": "api.networks",
    "write": "api.scans",
    "write_cases": "cases",
    "write_pairs": "pairs",
}
"""Public name to its module."""

__all__ = [
    "Bundle",
    "Case",
    "Pair",
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
    "translate_cases",
    "write",
    "write_cases",
    "write_pairs",
]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
