"""The public functions of `import voxlate`: one for each step, on paths or on objects in memory.

Each does what the verb of the same name does on the command line. A path is a `str` or a `Path`. A model is the name of
a pretrained one, the folder of a bundle, or a `Bundle`. A table of cases is a path or a list of `Case`.

The examples run in a folder with a scan, `T1ce.nii.gz`, a table of aligned cases, `cases.tsv`, one of cases that are
not prepared, `raw.tsv`, and a recipe, `my.yaml`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxlate.cases import ABSENT, Case, prepared_in, read_cases, write_cases
from voxlate.errors import NoInput, UsageError
from voxlate.pairs import Pair
from voxlate.volume import Volume

if TYPE_CHECKING:
    from torch import Tensor, nn

    from voxlate.bundle.bundle import Bundle
    from voxlate.bundle.recipe import Recipe
    from voxlate.evaluation.run import Outcome
    from voxlate.evaluation.settings import Settings
    from voxlate.inference.translate import Options, Synthesis
    from voxlate.jobs.states import CaseOutcome
    from voxlate.preparation.records import PreparationRecord
    from voxlate.preparation.register_pair import PairSettings
    from voxlate.simulation.subject import Options as PatientOptions
    from voxlate.simulation.subject import Subject
    from voxlate.training.data.dataset import WindowsOfUser
    from voxlate.training.loop import Machine

PathLike = str | Path

log = logging.getLogger("voxlate")


def read(path: PathLike, *, shows: str = "", series: str | None = None) -> Volume:
    """Reads a scan from a NIfTI file, or from a DICOM file, folder or zip.

    Args:
        path: of the scan.
        shows: its contrast, such as `T1ce`.
        series: number or UID of the DICOM series, if there are several.

    Returns:
        The volume: `data`, float32, (i, j, k) in the order of the file, and `affine`, (4, 4), from voxel index to
        millimetres that grow to the right, to the front and to the head (RAS+).

    Raises:
        NoInput: there is no such file.
        InputRefused: the file is not a readable scan, with the reason.
        UsageError: `SERIES`.

    Example:
        >>> import voxlate
        >>> scan = voxlate.read("T1ce.nii.gz")
        >>> scan.grid.shape, scan.spacing_mm
        ((19, 21, 18), (1.0, 1.0, 1.0))
    """
    from voxlate.io.nifti import nifti_suffix, read_volume
    from voxlate.io.scans import read_scan

    path = Path(path)
    if nifti_suffix(path) and series is None:
        return read_volume(path, shows=shows)
    return read_scan(path, shows=shows, series=series).volume


def write(path: PathLike, volume: Volume) -> None:
    """Writes a volume as NIfTI; the file is complete or not there at all.

    Args:
        path: ends in `.nii.gz` or `.nii`; an existing file is replaced.
        volume: finite values.

    Raises:
        UsageError: `FORMAT` for another suffix.
        VoxlateError: `NON_FINITE`; `DIMENSIONS`; the file cannot be written.

    Example:
        >>> import numpy as np, voxlate
        >>> voxlate.write("new.nii.gz", voxlate.Volume(np.ones((8, 9, 7)), affine=np.eye(4)))
    """
    from voxlate.io.nifti import write_volume

    write_volume(Path(path), volume)


def simulate(
    task: str = "t1ce_t1",
    *,
    seed: int = 0,
    subject: int = 0,
    size: str = "small",
    options: PatientOptions | None = None,
) -> Subject:
    """Simulates a patient: scans of several contrasts, and the truth about them.

    Args:
        task: `t1ce_t1`, `virtual_contrast`, `ct_to_mr` or `spine`.
        seed: of the data set; the same seed and subject give the same patient.
        subject: number of the patient, from 0.
        size: `small` for voxels of 2 mm, `full` for 1 mm.
        options: dose, lesions, quality and others: `voxlate.simulation.subject.Options`.

    Returns:
        The patient: `name`; `images`, a volume for each contrast; `truth`, with `brain_mask` and `lesion_mask`.

    Raises:
        UsageError: `TASK_UNKNOWN`, `SIZE_UNKNOWN`, `SEED_NEGATIVE`.

    Example:
        >>> import voxlate
        >>> patient = voxlate.simulate("t1ce_t1", seed=1)
        >>> sorted(patient.images)
        ['T1ce', 'T1w']
    """
    from voxlate.simulation.subject import simulate_subject

    return simulate_subject(task, seed=seed, subject=subject, size=size, options=options)


def prepare(
    cases: PathLike | Sequence[Case],
    out: PathLike,
    *,
    brain_mask: str | None = None,
    aligned: bool | None = None,
    settings: PairSettings | None = None,
    jobs: int = 1,
) -> list[PreparationRecord]:
    """Registers the target of each case to its source and extracts the brain.

    Only what is raw needs it: training takes aligned pairs of skull-stripped scans, or with masks, as they are. A run
    that was stopped goes on when it is called again.

    Args:
        cases: a table of cases, or its rows.
        out: gets a folder for each case, the table `cases.tsv` to train on, and `index.html` to look at.
        brain_mask: method for the brain of all scans; by default that of the settings.
        aligned: skip the registration; by default as in the settings.
        settings: see `voxlate.preparation.register_pair.PairSettings`; None for its defaults.
        jobs: number of processes.

    Returns:
        A record for each case: `case`, `state` (`done`, `refused` or `failed`), and why it is not done.

    Raises:
        NoInput: there is no table or no row.
        InputRefused: the table cannot be read.
        UsageError: `BRAIN_MASK`; `SETTINGS_DIFFER` when `out` holds cases prepared with other settings.

    Example:
        >>> import voxlate
        >>> from voxlate.preparation.register_pair import PairSettings
        >>> quick = PairSettings(to_template=False)               # without the second check of position
        >>> records = voxlate.prepare("raw.tsv", "prepared", brain_mask="nonzero", aligned=True, settings=quick)
        >>> [(record["case"], str(record["state"])) for record in records]
        [('sub-0001', 'done')]
    """
    from voxlate.preparation.masks.brain_mask import require_method
    from voxlate.preparation.register_pair import PairSettings
    from voxlate.preparation.run import PairFiles, prepare_cohort
    from voxlate.reporting.figures.preparation_picture import write_picture
    from voxlate.reporting.preparation_page import write_page

    changes: dict[str, Any] = {} if aligned is None else {"is_registered": not aligned}
    if brain_mask is not None:
        require_method(brain_mask)
        changes |= dict.fromkeys(("source_mask", "target_mask", "more_mask"), brain_mask)
    chosen = (settings or PairSettings()).model_copy(update=changes)
    rows, out = _rows(cases), Path(out)
    files = [PairFiles(row.case, row.source, row.target, row.mask, row.labels, row.more) for row in rows]
    records = list(prepare_cohort(files, out, chosen, jobs=jobs, draw=write_picture))
    done = {record["case"] for record in records if record["state"] == "done"}
    for record in records:
        if record["case"] not in done:
            log.warning("%s:%s %s: %s", record["state"].upper(), record["code"], record["case"], record["message"])
    write_page(records, out)
    (out / "cases.tsv").unlink(missing_ok=True)
    if done:
        write_cases(out / "cases.tsv", [prepared_in(out, row) for row in rows if row.case in done])
    return records


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
        UsageError: `RUN_EXISTS`; `RECIPE`; `CUSTOM_CODE` for a network or a loss that cannot be used; `DATASET`, with
            the item; `NO_TRAINING_CASE`.
        InputRefused: a case cannot be used; `LOSS_NOT_FINITE`.
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
    from voxlate.training.loop import Machine, require_free, train_cases

    out = Path(out)
    require_free(out, resume=resume)
    chosen = training_data(_recipe(recipe), data, out / "pairs")
    named, given = with_objects(chosen.recipe, network=network, loss=loss, windows=chosen.windows)
    machine = device if isinstance(device, Machine) else Machine(device)
    return train_cases(named, chosen.cases, out, root=chosen.root, given=given, machine=machine)


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
        mask: its brain mask on the same grid; None for a skull-stripped scan.
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
    from voxlate.inference.translate import Options, choose_device, translate_volume

    bundle = _bundle(model)
    chosen = replace(options or Options(), device=choose_device(device))
    others = {name: _volume(volume, name) for name, volume in (more or {}).items()}
    brain = None if mask is None else _volume(mask, "mask")
    return translate_volume(bundle, _volume(scan, bundle.recipe.source), brain, more=others, options=chosen)


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
    from voxlate.inference.item import Item
    from voxlate.inference.translate import Options, choose_device

    rows = _of_split([row for row in _rows(cases, paired=False) if row.source != ABSENT], split)
    items = [Item(row.case, row.source, row.mask, row.more) for row in rows]
    chosen = replace(options or Options(), device=choose_device(device))
    return translate_many(_bundle(model), items, Path(out), options=chosen, overwrite=overwrite)


def evaluate(
    cases: PathLike | Sequence[Case],
    synthetic: PathLike,
    out: PathLike,
    *,
    model: PathLike | None = None,
    split: str = "test",
    settings: Settings | None = None,
    jobs: int = 1,
) -> Outcome:
    """Evaluates synthetic images against the real ones, beside simple baselines, with statistics over patients.

    Args:
        cases: a table of cases, or its rows.
        synthetic: folder with `<case>.nii.gz`, as `translate_cases` writes it.
        out: gets `scores.tsv`, `evaluation.json` and a file for each case.
        model: whose images they are; adds the histogram match, which needs statistics of the training, and the loss
            curves.
        split: rows to evaluate.
        settings: see `voxlate.evaluation.settings.Settings`; None for relative units and the kind of data (real or
            simulated) of the model.
        jobs: number of processes.

    Returns:
        The outcome: how many cases were evaluated, missing and refused, and `evaluation`, all results.

    Raises:
        NoInput: there is no table, or no row of the split.
        ModelInvalid: there is no such model.

    Example:
        >>> import voxlate
        >>> outcome = voxlate.evaluate("cases.tsv", "synthetic", "evaluation", model="runs/mine/bundle")
        >>> outcome.n_evaluated, outcome.n_missing, outcome.n_refused
        (1, 0, 0)
    """
    from voxlate.bundle.pretrained import find_bundle
    from voxlate.bundle.recipe import read_recipe
    from voxlate.evaluation.run import evaluate_cases
    from voxlate.evaluation.settings import Settings

    bundle = None if model is None else find_bundle(model)
    if settings is None:
        kind = "unknown" if bundle is None else read_recipe(bundle / "recipe.yaml").data_kind
        settings = Settings(data_kind=kind)
    rows = _of_split([row for row in _rows(cases, paired=False) if row.is_pair], split)
    return evaluate_cases(rows, Path(synthetic), Path(out), settings=settings, bundle=bundle, jobs=jobs)


def report(evaluation: PathLike, html: PathLike, *, title: str | None = None, viewer: bool = False) -> Path:
    """Writes the report of an evaluation, or of a comparison of systems: one HTML file that needs no network.

    Args:
        evaluation: folder that `evaluate` wrote.
        html: the file; an existing one is replaced.
        title: heading; by default the contrasts.
        viewer: also write an interactive viewer beside the file.

    Returns:
        The path of the file.

    Raises:
        NoInput: the folder holds no evaluation.
        UsageError: `VIEWER` for a comparison, which has no viewer.

    Example:
        >>> import voxlate
        >>> voxlate.report("evaluation", "report.html").name
        'report.html'
    """
    from voxlate.evaluation.comparison.schema import is_comparison
    from voxlate.reporting.page import write_report

    folder, path = Path(evaluation), Path(html)
    if not is_comparison(folder):
        for left_out in write_report(folder, path, title=title, viewer=viewer):
            log.warning("not in the viewer: %s", left_out)
        return path
    if viewer:
        raise UsageError("VIEWER", "a comparison has no viewer; name the folder of one system, such as systems/NAME")
    from voxlate.reporting.comparison.page import write_comparison_report

    write_comparison_report(folder, path, title=title)
    return path


def _recipe(recipe: Recipe | PathLike) -> Recipe:
    from voxlate.bundle.recipe import read_recipe
    from voxlate.shipped import find_shipped

    if isinstance(recipe, str | Path):
        return read_recipe(find_shipped("recipes", recipe, what="recipe"))
    return recipe


def _bundle(model: Bundle | PathLike) -> Bundle:
    from voxlate.bundle.pretrained import load_bundle

    return load_bundle(model) if isinstance(model, str | Path) else model


def _volume(volume: Volume | PathLike, shows: str) -> Volume:
    from voxlate.io.scans import read_scan

    return read_scan(Path(volume), shows=shows).volume if isinstance(volume, str | Path) else volume


def _rows(cases: PathLike | Sequence[Case], *, paired: bool = True) -> list[Case]:
    return read_cases(Path(cases), paired=paired) if isinstance(cases, str | Path) else list(cases)


def _of_split(rows: Sequence[Case], split: str) -> list[Case]:
    found = [row for row in rows if row.split == split]
    if not found:
        splits = ", ".join(sorted({row.split for row in rows})) or "none"
        raise NoInput("NO_INPUT", f"no row of the table has the split {split!r}; its splits are: {splits}")
    return found
