"""Translates many scans, each in a way that can be repeated.

`Translation` is the work on one case of a batch (`voxlate.jobs.batch`), in any number of processes. `translate_many`
translates a list of scans in this process, for `voxlate translate`. Both write a ledger, so that a run that was stopped
can be continued.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from voxlate.bundle.bundle import Bundle
from voxlate.bundle.ensemble import join_bundles
from voxlate.bundle.faults import device_failure, is_device_fault, is_out_of_memory
from voxlate.bundle.pretrained import load_bundle
from voxlate.errors import CannotWrite, ModelInvalid, TemporaryFailure, UsageError, VoxlateError, printable
from voxlate.inference.calibration import require_several_predictions
from voxlate.inference.checks import require_use
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.manifest import require_output_name
from voxlate.inference.translate import Options
from voxlate.io.atomic import write_json
from voxlate.io.log import of_case
from voxlate.io.nifti import sidecar_path
from voxlate.jobs.batch import WORK, move_into_place, record_outcome
from voxlate.jobs.ledger import Ledger, is_whole, read_ledger
from voxlate.jobs.results import hash_files, hash_tree
from voxlate.jobs.states import DONE, FAILED, CaseOutcome, count_states, outcome_of_error
from voxlate.version import __version__

RUN, LEDGER = "run.json", ".translate"


@dataclass(frozen=True)
class Translation:
    """The work on one case; small enough to be sent to another process with each case.

    Attributes:
        models: folders of bundles; each process reads them once.
        weights_sha256: hash of their weights, of all together.
        options: see `voxlate.inference.translate.Options`.
        as_dicom: write a folder with a DICOM series for each case instead of a NIfTI file.
    """

    models: tuple[Path, ...]
    weights_sha256: str
    options: Options
    as_dicom: bool = False

    @property
    def bundle(self) -> Bundle:
        """Returns the bundle, read at the first call in each process.

        Raises:
            ModelInvalid: what reading raises; `MODEL_CHANGED` when it is not the bundle that the batch began with.
        """
        bundle = read_models(self.models)
        if bundle.weights_sha256 != self.weights_sha256:
            raise ModelInvalid("MODEL_CHANGED", f"{bundle.name} is not the bundle that this batch began with")
        return bundle

    def __call__(self, item: Item, out: Path) -> CaseOutcome:
        """Translates a case, moves its files into place, and returns how it ended.

        Raises:
            CannotWrite, TemporaryFailure, ModelInvalid: the disk or the model is at fault, not the case.
        """
        bundle = self.bundle
        work_folder = out / WORK / f"{item.name}-{os.getpid()}"
        try:
            return end_case(item, lambda: self._translate(bundle, item, out, work_folder))
        finally:
            shutil.rmtree(work_folder, ignore_errors=True)

    def _translate(self, bundle: Bundle, item: Item, out: Path, work_folder: Path) -> CaseOutcome:
        output = work_folder / (item.output or (item.name if self.as_dicom else f"{item.name}.nii.gz"))
        synthesis = translate_file(bundle, item.with_sources(bundle.recipe.more_sources), output, options=self.options)
        if self.as_dicom:  # a file that somebody put into the folder of a series would be taken for a slice
            shutil.rmtree(out / item.name, ignore_errors=True)
        return CaseOutcome(item.name, DONE, files=move_into_place(work_folder, out), flag=synthesis.flag)


def translate_many(
    bundle: Bundle,
    items: Iterable[Item],
    folder: Path,
    *,
    spread: Path | None = None,
    options: Options | None = None,
    watch: Callable[[CaseOutcome], None] | None = None,
    overwrite: bool = False,
) -> list[CaseOutcome]:
    """Translates scans in this process into `folder/<name>.nii.gz` and writes `folder/run.json` last.

    A run that was stopped can be continued: a scan that it translated from the same files with the same bundle and
    options is not translated again. The ledger in `folder/.translate` shows which scans these are; it is removed when a
    run ends. A folder may hold other files and the outputs of several runs.

    Args:
        bundle: a trained model.
        items: the scans; their names differ.
        folder: folder of the outputs, made if it is missing.
        spread: another folder, which gets the uncertainty of each output under the same name; see `translate_file`.
        options: see `Options`.
        watch: called with the outcome of each scan.
        overwrite: replace outputs that exist; without it, a scan whose output exists is refused (`OUTPUT_EXISTS`),
            unless the run that is continued made it.

    Returns:
        The outcome of each scan, in their order. Where all were refused because their outputs exist, `run.json` stays
        as it was.

    Raises:
        UsageError: `ONE_ANSWER` when a spread is asked of single predictions; `OUTPUT_IS_INPUT` when `spread` is
            `folder`; `RESEARCH_ONLY`.
        TemporaryFailure, CannotWrite: the ledger or `run.json` cannot be written; `DEVICE_FAULT` when the GPU failed.
    """
    chosen = options or Options()
    require_use(bundle.recipe, is_research=chosen.research)
    if spread is not None:
        _require_spread(bundle, spread, folder, chosen)
    earlier = read_ledger(folder, LEDGER)
    old_ledgers = list((folder / LEDGER).glob("*.jsonl"))
    ledger = Ledger(folder, LEDGER)
    outcomes = []
    try:
        for item in items:
            scan = item.with_sources(bundle.recipe.more_sources)
            inputs = _hash_of_inputs(bundle, scan, chosen, spread)
            name = printable(item.name)
            outcome = earlier.get(name)
            if outcome is None or not inputs or outcome.inputs != inputs or not is_whole(folder, outcome):
                work = partial(
                    _translate_into, bundle, scan, folder, chosen, inputs, spread=spread, overwrite=overwrite
                )
                outcome = replace(end_case(scan, work, disk_ends_run=False), case=name)
                record_outcome(outcome, ledger, watch)
            elif watch is not None:
                watch(outcome)
            outcomes.append(outcome)
    finally:
        ledger.close()
    if not (folder / RUN).is_file() or any(outcome.code != "OUTPUT_EXISTS" for outcome in outcomes):
        write_json(folder / RUN, summary(outcomes))  # a run that did nothing keeps the record of the one before it
    for path in (*old_ledgers, ledger.path):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # another run into this folder has its ledger there
        (folder / LEDGER).rmdir()
    return outcomes


def summary(outcomes: Sequence[CaseOutcome]) -> dict[str, Any]:
    """Returns the content of `run.json`: the counts, which add up to the items, and every item that is not done."""
    counts = count_states(outcome.state for outcome in outcomes)
    not_done = [
        {"name": outcome.case, "state": outcome.state, "code": outcome.code, "message": outcome.message}
        for outcome in outcomes
        if outcome.state != DONE
    ]
    return {
        "items": counts.cases,
        "done": counts.done,
        "refused": counts.refused,
        "failed": counts.failed,
        "not_done": not_done,
    }


def end_case(item: Item, work: Callable[[], CaseOutcome], *, disk_ends_run: bool = True) -> CaseOutcome:
    """Does the work on a case and turns an error that is the fault of the case into its outcome.

    Args:
        item: the case; the names of its files do not appear in the outcome.
        work: returns the outcome of the case.
        disk_ends_run: raise an error of the disk instead of returning it as the outcome of the case. A scan that is
            too large for the memory (`MEMORY`) is always the fault of its case.

    Raises:
        CannotWrite, TemporaryFailure: the disk is at fault, and `disk_ends_run`; `DEVICE_FAULT` when the GPU failed.
    """
    try:
        with of_case(item.name):
            return work()
    except VoxlateError as error:
        if disk_ends_run and isinstance(error, CannotWrite | TemporaryFailure) and error.code != "MEMORY":
            raise
        return outcome_of_error(item.name, error, printable(item.without_names(error.message)))
    except Exception as error:
        if is_device_fault(error):  # it would fail all cases that follow
            raise device_failure(error, printable(item.name)) from error
        if is_out_of_memory(error):
            return CaseOutcome(item.name, FAILED, "MEMORY", "it does not fit into the memory it may take")
        return CaseOutcome(item.name, FAILED, "UNEXPECTED", type(error).__name__)


@cache
def read_models(models: tuple[Path, ...]) -> Bundle:
    """Returns the bundle of a folder or a name, or the ensemble of several; each process reads it once."""
    return join_bundles([load_bundle(model) for model in models])


def _require_spread(bundle: Bundle, spread: Path, folder: Path, options: Options) -> None:
    """Refuses a spread of single predictions, and one that would lie among the outputs.

    Raises:
        UsageError: `ONE_ANSWER`, `OUTPUT_IS_INPUT`.
    """
    require_several_predictions(bundle, mirror=options.mirror)
    if spread.resolve() == folder.resolve():
        raise UsageError(
            "OUTPUT_IS_INPUT", f"{spread.name} is also the folder of the synthetic scans; name another for the spread"
        )


def _translate_into(
    bundle: Bundle, item: Item, folder: Path, options: Options, inputs: str, *, spread: Path | None, overwrite: bool
) -> CaseOutcome:
    require_output_name(item.name)
    output = folder / f"{item.name}.nii.gz"
    deviation = None if spread is None else spread / output.name
    synthesis = translate_file(bundle, item, output, spread=deviation, options=options, overwrite=overwrite)
    written = [output] if deviation is None else [output, deviation]
    paths = [
        os.path.relpath(path.resolve(), folder.resolve()) for each in written for path in (each, sidecar_path(each))
    ]
    files = hash_files(folder, paths)
    return CaseOutcome(item.name, DONE, files=files, flag=synthesis.flag, inputs=inputs)


def _hash_of_inputs(bundle: Bundle, item: Item, options: Options, spread: Path | None) -> str:
    """Returns a hash of all that the output of a scan depends on; empty when one of its files cannot be read."""
    paths = {"source": item.source, "mask": item.mask, **item.more}
    try:
        files = {role: hash_tree(path) for role, path in paths.items() if path is not None}
    except OSError:
        return ""
    decisive = [entry.name for entry in fields(options) if entry.name != "cache"]
    described = {name: _described(getattr(options, name)) for name in decisive}
    content = {"voxlate": __version__, "files": files, "series": item.series, "options": described}
    content |= {"model": bundle.weights_sha256, "recipe": bundle.recipe_sha256}
    content["spread"] = None if spread is None else os.fspath(spread.resolve())
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _described(value: object) -> object:
    """Returns the value of an option as JSON can hold it."""
    if isinstance(value, Bundle):
        return [value.weights_sha256, value.recipe_sha256]
    if isinstance(value, Mapping):
        return {str(key): _described(each) for key, each in value.items()}
    return repr(value)
