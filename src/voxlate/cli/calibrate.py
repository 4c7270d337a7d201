"""`voxlate calibrate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from voxlate.cli.console import begin, say
from voxlate.cli.options import PATH, models, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import Verb


@click.command(cls=Verb, example="voxlate calibrate cases.tsv calibrated -m runs/mine/bundle --tta-flip")
@click.argument("cases", type=PATH)
@click.argument("out", type=PATH)
@models
@click.option("--tta-flip", "mirror", is_flag=True, help="Also predict from the mirrored scan (needed for one bundle).")
@click.option(
    "--split", default="validation", show_default=True, help="Split of the rows that the calibration is fitted on."
)
@click.option("--test", "unseen", default="test", show_default=True, help="Split of the rows that it is tested on.")
@click.option(
    "--add-to-bundle",
    "is_kept",
    is_flag=True,
    help="Also write the calibration into the bundle; `voxlate translate --uncertainty` then uses it by itself.",
)
@no_progress
def calibrate(
    cases: Path,
    out: Path,
    models: tuple[Path, ...],
    mirror: bool,
    split: str,
    unseen: str,
    is_kept: bool,
    no_progress: bool,
) -> int:
    """Calibrate the uncertainty of a model on known targets.

    CASES is a table with source and target; none of the models may have been trained on the rows that are used. OUT
    becomes a folder with calibration.json, for `voxlate translate --uncertainty FILE --calibration`, and a figure.
    """
    import numpy as np

    from voxlate.bundle.ensemble import join_bundles
    from voxlate.bundle.pretrained import load_bundle
    from voxlate.cases import read_cases, rows_of_split
    from voxlate.errors import UsageError
    from voxlate.inference.calibration import (
        fit_calibration,
        keep_calibration,
        member_hashes,
        reliability,
        sample_errors,
    )
    from voxlate.io.atomic import write_json
    from voxlate.io.log import counted
    from voxlate.reporting.figures.calibration_plot import draw_calibration

    if is_kept and not (len(models) == 1 and models[0].is_dir()):
        raise UsageError("ADD_TO_BUNDLE", "a calibration is kept in a single bundle; pass one -m, its folder")
    rows = read_cases(cases)
    bundle = join_bundles([load_bundle(model) for model in models])
    parts = {split: rows_of_split(rows, split)} | {unseen: [row for row in rows if row.split == unseen]}
    total = sum(map(len, parts.values()))
    begin(f"translating {counted(total, 'case')} with {bundle.name}", out=out)
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("translating", total=total)
        samples = {
            name: list(sample_errors(bundle, some, mirror=mirror, watch=lambda _: bar.advance(task)))
            for name, some in parts.items()
            if some
        }
    fitted = fit_calibration(samples[split], members=member_hashes(bundle), mirror=mirror)
    found = {}
    for name, several in samples.items():
        errors, spreads = (np.concatenate(each) for each in zip(*several, strict=True))
        found[f"{name}, {counted(len(several), 'case')}"] = reliability(
            errors, fitted.expected_error(spreads).astype(np.float64)
        )
    shown = {name: asdict(each) for name, each in found.items()}
    content = {"calibration": asdict(fitted), "by_split": shown}
    write_json(out / "calibration.json", content)
    if is_kept:
        keep_calibration(models[0], content)
    for suffix in ("png", "svg"):
        draw_calibration(out / f"calibration.{suffix}", shown)
    law = f"{fitted.floor:.4f}² + ({fitted.factor:.2f} x SD^{fitted.power:.2f})²"
    say(f"expected error² = {law}, {counted(fitted.cases, 'case')}; {out}")
    for name, each in found.items():
        say(f"{name}: {each.within_one:.0%} within one, {each.within_two:.0%} within two of it")
    return 0
