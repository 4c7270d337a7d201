"""`voxlate translate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from voxlate.cli.options import (
    PATH,
    any_spacing,
    blank,
    brain_mask,
    device,
    memory_gib,
    models,
    no_preamble,
    no_progress,
    no_synthetic_tag,
    ood,
    runtime,
    zero_fill,
)
from voxlate.cli.progress import progress_bar

if TYPE_CHECKING:
    from voxlate.bundle.recipe import Recipe
    from voxlate.inference.item import Item


@click.command()
@click.option(
    "-i",
    "--input",
    "source",
    type=PATH,
    help="A scan, NIfTI or DICOM (folder, file, zip); or a folder of NIfTI, a BIDS subject, a list of paths (.txt).",
)
@click.option("--series", help="Number or identifier of the DICOM series; 4:2 for its 2nd volume.")
@click.option("--cases", type=PATH, help="A table of cases, in place of --input.")
@click.option("--split", default="test", show_default=True, help="Rows of the table to use.")
@click.option(
    "-o", "--output", type=PATH, required=True, help="The synthetic scan: .nii.gz, or a new folder for DICOM."
)
@models
@click.option("--with", "more", multiple=True, metavar="T2=FILE", help="An additional source on the scan's grid.")
@click.option(
    "--impute",
    "helpers",
    multiple=True,
    metavar="T2=BUNDLE",
    help="Bundle that synthesises this source where it is missing.",
)
@click.option("--tta-flip", "mirror", is_flag=True, help="Average with the mirrored scan.")
@click.option("--uncertainty", "spread", type=PATH, help="Also write the standard deviation of the predictions.")
@click.option("--calibration", type=PATH, help="Turns --uncertainty into an expected error; see voxlate calibrate.")
@zero_fill
@blank
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@click.option("--mask", type=PATH, help="Brain mask of the scan; not needed when it is skull-stripped.")
@brain_mask
@no_synthetic_tag
@any_spacing
@ood
@runtime
@device
@memory_gib
@no_preamble
@no_progress
def translate(
    source: Path | None,
    series: str | None,
    cases: Path | None,
    split: str,
    output: Path,
    models: tuple[Path, ...],
    more: tuple[str, ...],
    helpers: tuple[str, ...],
    mirror: bool,
    spread: Path | None,
    calibration: Path | None,
    zero_fill: bool,
    blank: tuple[str, ...],
    overwrite: bool,
    mask: Path | None,
    brain_mask: str,
    no_synthetic_tag: bool,
    any_spacing: bool,
    gate: Literal["refuse", "flag", "off"],
    runtime: str,
    device: str,
    gib: float | None,
    unmarked: bool,
    no_progress: bool,
) -> int:
    """Translate scans with a pretrained or trained model.

    The synthetic scan has the grid and orientation of its source, and intensities on a similar scale. A JSON file
    beside it states that it is synthetic and how it was made. With DICOM input and a new folder as --output, the result
    is a new series of the same study.
    """
    from voxlate.bundle.ensemble import join_bundles
    from voxlate.bundle.pretrained import load_bundle
    from voxlate.inference.batch import translate_many
    from voxlate.inference.calibration import read_calibration
    from voxlate.inference.files import translate_file
    from voxlate.inference.item import Item
    from voxlate.inference.runtime import choose_runtime
    from voxlate.inference.translate import Options, choose_device
    from voxlate.io.nifti import nifti_stem
    from voxlate.jobs.states import count_states

    if (source is None) == (cases is None):
        raise click.UsageError("give either --input or --cases")
    where = choose_device(device)
    named = {name: load_bundle(path) for name, path in _pairs(helpers).items()}
    bundle = join_bundles([load_bundle(model) for model in models])
    items = _items(source, cases, split, bundle.recipe)
    chosen = choose_runtime(bundle, where) if runtime == "auto" else runtime
    options = Options(
        device=where,
        any_spacing=any_spacing,
        zero_fill=zero_fill,
        blank=blank,
        imputers=named,
        mirror=mirror,
        brain_mask=brain_mask,
        synthetic_tag=not no_synthetic_tag,
        gate=gate,
        runtime=chosen,
        memory_gib=gib,
        unmarked_dicom=unmarked,
        calibration=None if calibration is None else read_calibration(calibration),
    )
    if source is not None and items is None:
        item = Item(nifti_stem(source), source, mask, _pairs(more), series)
        synthesis = translate_file(bundle, item, output, spread=spread, options=options, overwrite=overwrite)
        click.echo(f"{output} (synthetic {synthesis.volume.shows}, {synthesis.brain_voxels:,} voxels of brain)")
        return 0
    if mask is not None or more or spread is not None or series is not None:
        raise click.UsageError(
            "--mask, --with, --series and --uncertainty are for a single scan; a table of cases has columns for them"
        )
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("translating", total=len(items or []))
        outcomes = translate_many(
            bundle, items or [], output, options=options, overwrite=overwrite, watch=lambda _: bar.advance(task)
        )
    counts = count_states(outcome.state for outcome in outcomes)
    click.echo(f"{counts.done} of {counts.cases} translated into {output}; states: {output / 'run.json'}")
    return counts.exit_status


def _items(source: Path | None, cases: Path | None, split: str, recipe: Recipe) -> list[Item] | None:
    """Returns what to translate into a folder, or None for a single scan."""
    from voxlate.cases import ABSENT, read_cases
    from voxlate.errors import NoInput
    from voxlate.inference.inputs import holds_nifti, items_in_folder, items_in_list, items_of_subject
    from voxlate.inference.item import Item

    if cases is not None:
        table = [row for row in read_cases(cases, paired=False) if row.split == split and row.source != ABSENT]
        rows = [Item(row.case, row.source, row.mask, row.more) for row in table]
        if not rows:
            raise NoInput("NO_INPUT", f"{cases.name}: no row whose split is {split!r}")
        return rows
    if source is None:
        return None
    if source.suffix == ".txt":
        return items_in_list(source)
    return items_in_folder(source) if holds_nifti(source) else items_of_subject(source, recipe)


def _pairs(texts: tuple[str, ...]) -> dict[str, Path]:
    """Returns contrasts and paths out of CONTRAST=PATH."""
    found = {}
    for text in texts:
        name, sign, path = text.partition("=")
        if not sign or not name or not path:
            raise click.UsageError(f"{text!r} is not CONTRAST=PATH")
        found[name] = Path(path)
    return found
