"""Networks: train, translate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.api.forms import PathLike, bundle_of, recipe_of, rows_of, volume_of
from voxlate.api.progress import progress
from voxlate.cases import Case
from voxlate.pairs import Pair
from voxlate.volume import Volume

if TYPE_CHECKING:
    from torch import Tensor, nn

    from voxlate.bundle.bundle import Bundle
    from voxlate.bundle.recipe import Recipe
    from voxlate.inference.translate import Options, Synthesis
    from voxlate.jobs.states import CaseOutcome
    from voxlate.training.data.dataset import WindowsOfUser
    from voxlate.training.loop import Machine


def train(
    recipe: Recipe | PathLike,
    out: PathLike,
    *,
    data: PathLike | Sequence[Case] | Sequence[Pair] | WindowsOfUser | None = None,
    network: nn.Module | Callable[..., nn.Module] | Bundle | None = None,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    resume: bool = False,
    device: str | Machine = "auto",
) -> Path:
    """Trains a network and returns the folder of its bundle, which is a model.

    Args:
        recipe: a `Recipe`, the path of its YAML file, or the name of one that comes with voxlate.
        out: folder of the run; gets `bundle/`, `history.json`, `cases.tsv` and the checkpoint.
        data: what to train on, in place of what the recipe names: a table of cases, the folder that the paths of the
            recipe are relative to, a list of `Case` or of `Pair` (scans in memory), or a `torch.utils.data.Dataset` of
            windows. Item i of a dataset is (source, target, mask): (C, D, H, W), (1, D, H, W), (1, D, H, W), in
            the units that the recipe's `preparation` gives, or those that the network is to see. Cases of a recipe
            that is trained on a dataset still validate the weights.
        network: a `torch.nn.Module`, from (B, C, D, H, W) to (B, 1, D, H, W), whose weights the training begins with
            (the object itself is not changed); its class or a function that returns it, called with `in_channels`, and
            with `model.arguments` if the recipe names it; or a `Bundle` to train further. None for the network of the
            recipe.
        loss: a function or `torch.nn.Module` of (synthetic, target, mask), (B, 1, D, H, W) each, that returns a scalar;
            None for the losses of the recipe.
        resume: go on from the checkpoint in `out`. Pass the same objects again.
        device: `auto`, `cpu` or `cuda`; a `voxlate.training.loop.Machine` for several devices.

    Raises:
        UsageError: `RUN_EXISTS`; `RECIPE`; `DEVICE`; `CUSTOM_CODE` for a network or a loss that cannot be used;
            `DATASET`, with the item; `NO_TRAINING_CASE`.
        InputRefused: a case cannot be used; `LOSS_NOT_FINITE`.
        ModelInvalid: `CHECKPOINT_RECIPE`; `MODEL_WEIGHTS` for a `Bundle` with another number of sources.
        NoInput: `NO_INPUT` when files are missing; `NO_CASES`.
        TemporaryFailure: `MEMORY`.

    Example:
        >>> import voxlate
        >>> bundle = voxlate.train("my.yaml", "runs/mine")
        >>> bundle.name, voxlate.load_bundle(bundle).recipe.target
        ('bundle', 'T1nce')

        A network and a loss of your own. The class is passed, so that the bundle can name it:

        >>> from torch import nn
        >>> class Gain(nn.Module):
        ...     def __init__(self, in_channels):
        ...         super().__init__()
        ...         self.layer = nn.Conv3d(in_channels, 1, kernel_size=1)
        ...     def forward(self, x):
        ...         return self.layer(x)
        >>> def loss(synthetic, target, mask):
        ...     return ((synthetic - target).abs() * mask).mean()
        >>> bundle = voxlate.train("my.yaml", "runs/gain", network=Gain, loss=loss)
    """
    from voxlate.training.given import training_data, with_objects
    from voxlate.training.loop import Machine, train_cases
    from voxlate.training.preflight import require_free, tell_where_it_begins

    out = Path(out)
    require_free(out, resume=resume)
    tell_where_it_begins(out, resume=resume)
    chosen = training_data(recipe_of(recipe), data, out / "pairs")
    named, given = with_objects(chosen.recipe, network=network, loss=loss, windows=chosen.windows)
    machine = device if isinstance(device, Machine) else Machine(device)
    with progress("preparing", named.steps) as (bar, task):
        watch = bar.follow(task)
        return train_cases(named, chosen.cases, out, root=chosen.root, given=given, machine=machine, watch=watch)


def translate(
    model: Bundle | PathLike,
    scan: Volume | PathLike,
    mask: Volume | PathLike | None = None,
    *,
    more: Mapping[str, Volume | PathLike] | None = None,
    device: str = "auto",
    options: Options | None = None,
) -> Synthesis:
    """Translates one scan.

    Args:
        model: the name of a pretrained model, the folder of a bundle, or a `Bundle`.
        scan: a volume, or the path of one.
        mask: its brain mask on the same grid; None to have the brain found, as on the command line.
        more: additional sources by contrast, on the same grid.
        device: `auto`, `cpu`, `cuda` or another device of torch.
        options: see `voxlate.inference.translate.Options`; its device is replaced.

    Returns:
        The result: `volume`, the synthetic scan on the grid of the scan, and how it was made.

    Raises:
        ModelInvalid: `MODEL_MISSING` and others: there is no such model, or it was changed.
        InputRefused: the scan cannot be translated, with the reason.
        UsageError: `DEVICE`; `SOURCE_UNKNOWN`.
        TemporaryFailure: `MEMORY`.

    Example:
        >>> import voxlate
        >>> result = voxlate.translate("runs/mine/bundle", "T1ce.nii.gz")
        >>> result.volume.shows, result.volume.grid.matches(voxlate.read("T1ce.nii.gz").grid)
        ('T1nce', True)
        >>> voxlate.write("synthetic.nii.gz", result.volume)
    """
    from voxlate.inference.devices import choose_device
    from voxlate.inference.translate import Options, translate_volume

    bundle = bundle_of(model)
    chosen = replace(options or Options(), device=choose_device(device))
    others = {name: volume_of(volume, name) for name, volume in (more or {}).items()}
    brain = None if mask is None else volume_of(mask, "mask")
    return translate_volume(bundle, volume_of(scan, bundle.recipe.source), brain, more=others, options=chosen)


def translate_cases(
    model: Bundle | PathLike,
    cases: PathLike | Sequence[Case],
    out: PathLike,
    *,
    split: str = "test",
    device: str = "auto",
    options: Options | None = None,
    overwrite: bool = False,
) -> list[CaseOutcome]:
    """Translates the sources of a table of cases; a run that was stopped goes on when it is called again.

    Args:
        model: as in `translate`.
        cases: a table of cases, or its rows.
        out: gets `<case>.nii.gz` and, with how it was made, `<case>.json`.
        split: rows to translate.
        device: as in `translate`.
        options: as in `translate`.
        overwrite: replace results that exist.

    Returns:
        The outcome of each case: `case` and `state`, and why it is not done. A case that is refused does not stop the
        others.

    Raises:
        ModelInvalid, UsageError: as `translate`.
        NoInput: there is no table, or no row of the split.

    Example:
        >>> import voxlate
        >>> outcomes = voxlate.translate_cases("runs/mine/bundle", "cases.tsv", "synthetic")
        >>> [(outcome.case, str(outcome.state)) for outcome in outcomes]
        [('case3', 'done')]
    """
    from voxlate.inference.batch import translate_many
    from voxlate.inference.devices import choose_device
    from voxlate.inference.inputs import items_of_cases
    from voxlate.inference.translate import Options

    items = items_of_cases(rows_of(cases, paired=False, single=True), split)
    chosen = replace(options or Options(), device=choose_device(device))
    with progress("translating", len(items)) as (bar, task):
        return translate_many(
            bundle_of(model),
            items,
            Path(out),
            options=chosen,
            overwrite=overwrite,
            watch=lambda _: bar.advance(task),
        )
