"""Translates many scans: the work on one case, which `voxlate.jobs.batch` repeats until each case has ended."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from voxlate.bundle.bundle import Bundle, read_bundle
from voxlate.bundle.ensemble import join_bundles
from voxlate.errors import CannotWrite, ModelInvalid, TemporaryFailure, VoxlateError
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.jobs.batch import WORK, move_into_place
from voxlate.jobs.states import DONE, FAILED, CaseOutcome, outcome_of_error


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


def end_case(item: Item, work: Callable[[], CaseOutcome]) -> CaseOutcome:
    """Does the work on a case and turns an error that is the fault of the case into its outcome.

    Args:
        item: the case; the names of its files do not appear in the outcome.
        work: returns the outcome of the case.

    Raises:
        CannotWrite, TemporaryFailure: the disk is at fault, not the case. A scan that is too large for the memory
            (`MEMORY`) is the fault of its case.
    """
    try:
        return work()
    except VoxlateError as error:
        if isinstance(error, CannotWrite | TemporaryFailure) and error.code != "MEMORY":
            raise
        return outcome_of_error(item.name, error, item.without_names(error.message))
    except Exception as error:
        if isinstance(error, MemoryError) or "allocate" in str(error):
            return CaseOutcome(item.name, FAILED, "MEMORY", "it does not fit into the memory it may take")
        return CaseOutcome(item.name, FAILED, "UNEXPECTED", type(error).__name__)


@cache
def read_models(models: tuple[Path, ...]) -> Bundle:
    """Returns the bundle in a folder, or the ensemble of several; each process reads it once."""
    return join_bundles([read_bundle(model) for model in models])
