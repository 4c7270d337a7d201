"""`voxlate translate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxlate.cli.console import begin, say
from voxlate.cli.options import (
    PATH,
    blank,
    brain_mask,
    cache,
    device,
    first_given,
    keep_spacing,
    memory_gib,
    models,
    no_preamble,
    no_progress,
    no_synthetic_tag,
    ood,
    overwrite,
    research,
    runtime,
    zero_fill,
)
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb

if TYPE_CHECKING:
    from voxlate.inference.checks import Gate
    from voxlate.inference.item import Item


@click.command(
    cls=Verb,
    example="voxlate translate T1ce.nii.gz T1.nii.gz -m t1ce-to-t1",
    resumes="of several scans, the same command goes on where it stopped",
)
@click.argument("source", metavar="INPUT", type=PATH)
@click.argument("output", type=PATH)
@models
@click.option("--mask", type=PATH, help="Brain mask of the scan; not needed when it is skull-stripped.")
@brain_mask
@overwrite
@click.option("--series", help="Number or identifier of the DICOM series; 4:2 for the second volume of series 4.")
@click.option("--split", default="test", show_default=True, help="With a table of cases: which rows.")
@click.option(
    "--with",
    "more",
    multiple=True,
    metavar="T2w=FILE",
    help="Further source, on the grid of the scan; may be repeated.",
)
@click.option(
    "--impute",
    "helpers",
    multiple=True,
    metavar="T2w=MODEL",
    help="Model that synthesises a missing further source; may be repeated.",
)
@zero_fill
@blank
@click.option("--tta-flip", "mirror", is_flag=True, help="Average with the prediction from the mirrored scan.")
@click.option(
    "--uncertainty",
    "spread",
    type=PATH,
    help="Also write the expected error of each voxel, or without a calibration the standard deviation of the "
    "predictions of several models or of --tta-flip: a .nii.gz, or a folder for several scans. The synthetic scan "
    "is then the mean of these predictions, also where the calibration asks for a mirrored one.",
)
@click.option(
    "--calibration",
    type=PATH,
    help="calibration.json of voxlate calibrate, for --uncertainty.  [default: that of the model, if it has one]",
)
@click.option(
    "--like",
    type=PATH,
    metavar="REFERENCE",
    help="Earlier scan of this patient: the result gets its contrast. Or the JSON beside an earlier result of --like.",
)
@ood
@keep_spacing
@research
@device
@memory_gib
@runtime
@cache
@no_preamble
@no_synthetic_tag
@no_progress
def translate(
    source: Path,
    output: Path,
    series: str | None,
    split: str,
    models: tuple[Path, ...],
    more: tuple[str, ...],
    helpers: tuple[str, ...],
    mirror: bool,
    spread: Path | None,
    calibration: Path | None,
    zero_fill: bool,
    like: Path | None,
    research: bool,
    blank: tuple[str, ...],
    overwrite: bool,
    mask: Path | None,
    brain_mask: str,
    cache: Path | None,
    no_synthetic_tag: bool,
    keep_spacing: bool,
    gate: Gate,
    runtime: str,
    device: str,
    gib: float | None,
    unmarked: bool,
    no_progress: bool,
) -> int:
    """Translate scans with a pretrained or trained model.

    INPUT is a scan, NIfTI or DICOM (folder, file, zip); or several scans: a folder of NIfTI, a BIDS subject, a list of
    paths (.txt) or a table of cases (.tsv). OUTPUT is a .nii.gz, or a folder for several scans.

    The synthetic scan has the grid and orientation of its source, and intensities on a similar scale. A JSON file
    beside it states that it is synthetic and how it was made. With DICOM input and a new folder as OUTPUT, the result
    is a new series of the same study.
    """
    from voxlate.bundle.pretrained import find_bundle, load_bundle
    from voxlate.inference.inputs import is_subject, items_of_subject
    from voxlate.inference.item import Item
    from voxlate.inference.paths import require_inputs, require_paths
    from voxlate.io.log import counted, of_case
    from voxlate.io.nifti import nifti_stem

    if calibration is not None and spread is None:
        raise click.UsageError("--calibration turns --uncertainty into an expected error; pass --uncertainty as well")
    if first_given({"split": "--split"}) and source.suffix != ".tsv":
        raise click.UsageError("--split chooses rows of a table of cases (.tsv); for other inputs leave it out")
    others, imputing = _pairs(more), _pairs(helpers)
    for model in (*models, *imputing.values()):
        find_bundle(model)
    items = _items(source, split)
    item = Item(nifti_stem(source), source, mask, others, series)
    is_single = items is None and not is_subject(source)
    if not is_single:
        _refuse_for_several(source, output, [mask, *others.values(), series], like)
    require_inputs([path for path in (like, calibration) if path is not None])
    if is_single:
        require_paths(item, output, spread, overwrite=overwrite)

    from voxlate.bundle.ensemble import join_bundles  # here, because torch takes seconds to load
    from voxlate.inference.batch import translate_many
    from voxlate.inference.calibration import read_calibration
    from voxlate.inference.devices import choose_device
    from voxlate.inference.files import translate_file
    from voxlate.inference.reference_scan import read_reference
    from voxlate.inference.runtime import choose_runtime
    from voxlate.inference.translate import Options
    from voxlate.jobs.states import count_states

    where = choose_device(device)
    named = {name: load_bundle(path) for name, path in imputing.items()}
    bundle = join_bundles([load_bundle(model) for model in models])
    chosen = choose_runtime(bundle, where, has_reference=like is not None) if runtime == "auto" else runtime
    calibrated = None if calibration is None else read_calibration(calibration)
    if spread is not None and calibration is None and bundle.calibration is not None:
        calibrated, mirror = bundle.calibration, bundle.calibration.mirror
    options = Options(
        device=where,
        keep_spacing=keep_spacing,
        zero_fill=zero_fill,
        research=research,
        like=None if like is None else read_reference(like, bundle.recipe),
        blank=blank,
        imputers=named,
        mirror=mirror,
        brain_mask=brain_mask,
        cache=cache,
        synthetic_tag=not no_synthetic_tag,
        gate=gate,
        runtime=chosen,
        memory_gib=gib,
        unmarked_dicom=unmarked,
        calibration=calibrated,
    )
    if is_single:
        with of_case(item.name):
            synthesis = translate_file(bundle, item, output, spread=spread, options=options, overwrite=overwrite)
        say(f"{output} (synthetic {synthesis.volume.shows}, {synthesis.brain_voxels:,} voxels of brain)")
        return 0
    items = items_of_subject(source, bundle.recipe) if items is None else items
    begin(f"translating {counted(len(items), 'scan')} with {bundle.name}", out=output, device=where.type)
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("translating", total=len(items))
        outcomes = translate_many(
            bundle,
            items,
            output,
            spread=spread,
            options=options,
            overwrite=overwrite,
            watch=lambda _: bar.advance(task),
        )
    counts = count_states(outcome.state for outcome in outcomes)
    say(f"{counts.done} of {counts.cases} translated into {output}; states: {output / 'run.json'}")
    return counts.exit_status


def _refuse_for_several(source: Path, output: Path, of_one: Sequence[Path | str | None], like: Path | None) -> None:
    """Refuses options of a single scan, and a file as the output of several.

    Args:
        source: argument of the verb.
        output: argument of the verb.
        of_one: values of `--mask`, `--with` and `--series`.
        like: value of `--like`.
    """
    from voxlate.io.nifti import nifti_suffix

    if any(value is not None for value in of_one):
        raise click.UsageError(
            "--mask, --with and --series are for a single scan; a table of cases has columns for them"
        )
    if nifti_suffix(output):
        raise click.UsageError(f"{source.name} holds several scans, so OUTPUT is a folder; {output.name} is a file")
    if like is not None:
        raise click.UsageError("--like is for a single scan, since a reference belongs to one patient")


def _items(source: Path, split: str) -> list[Item] | None:
    """Returns what to translate into a folder; None for a single scan, and for a BIDS subject: its model chooses."""
    from voxlate.cases import read_cases
    from voxlate.errors import UsageError
    from voxlate.inference.inputs import holds_nifti, items_in_folder, items_in_list, items_of_cases

    if source.suffix == ".tsv":
        return items_of_cases(read_cases(source, paired=False, single=True), split)
    if (source / "dataset_description.json").is_file():
        raise UsageError(
            "BIDS_ROOT", f"{source.name} is a BIDS data set; run voxlate bids {source} OUT participant -m MODEL"
        )
    if source.suffix == ".txt":
        return items_in_list(source)
    return items_in_folder(source) if holds_nifti(source) else None


def _pairs(texts: tuple[str, ...]) -> dict[str, Path]:
    """Returns contrasts and paths out of CONTRAST=PATH."""
    found: dict[str, Path] = {}
    for text in texts:
        name, sign, path = text.partition("=")
        if not sign or not name or not path:
            raise click.UsageError(f"{text!r} is not CONTRAST=PATH")
        if name in found:
            raise click.UsageError(f"{name} is given twice; give each contrast once")
        found[name] = Path(path)
    return found
