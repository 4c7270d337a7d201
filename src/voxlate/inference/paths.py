"""The paths of one translation, looked at before torch is loaded and before a scan is read: both take seconds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from voxlate.errors import CannotWrite, NoInput, UsageError
from voxlate.inference.item import Item
from voxlate.io.atomic import require_free_folder
from voxlate.io.documents import read_object
from voxlate.io.nifti import nifti_suffix, sidecar_path


def require_paths(item: Item, output: Path, spread: Path | None = None, *, overwrite: bool = False) -> None:
    """Refuses inputs that do not exist, and outputs that cannot be written or must not be replaced.

    Args:
        item: the scan, its mask and its additional sources.
        output: a NIfTI file or, for a DICOM source, a new folder.
        spread: NIfTI file for the uncertainty.
        overwrite: whether files that exist may be replaced.

    Raises:
        UsageError: `OUTPUT_IS_INPUT`, `OUTPUT_EXISTS`, `OUTPUT_NAME`, `FOLDER_OCCUPIED`.
        CannotWrite: `WRITE` when the folder of an output cannot be written.
        NoInput: `NO_INPUT`.
    """
    outputs = [output] if spread is None else [output, spread]
    _require_distinct(item.paths(), outputs)
    if not overwrite:
        _require_free(outputs)
    _require_writable(outputs)
    require_inputs(item.paths())
    if spread is not None and not nifti_suffix(spread):
        raise UsageError("OUTPUT_NAME", f"{spread.name}: a spread must end in .nii or .nii.gz")
    if not nifti_suffix(output):
        if nifti_suffix(item.source):
            raise UsageError(
                "OUTPUT_NAME", f"{output.name}: an output must end in .nii or .nii.gz, unless the scan is DICOM"
            )
        require_free_folder(output)


def require_inputs(inputs: Sequence[Path]) -> None:
    """Refuses a path that does not exist; what else is wrong with a file, its reader says.

    Raises:
        NoInput: `NO_INPUT`.
    """
    for path in inputs:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoInput("NO_INPUT", f"{path.name} does not exist; check its path") from error
        except (OSError, ValueError):  # no permission; a NUL character
            continue


def _require_free(outputs: Sequence[Path]) -> None:
    """Refuses to overwrite existing files, and sidecars that are not of a synthetic scan.

    A sidecar that voxlate left without its image may be replaced.

    Raises:
        UsageError: `OUTPUT_EXISTS`.
    """
    for path in outputs:
        sidecar = sidecar_path(path)
        taken = path if path.is_file() else sidecar if sidecar.is_file() and not _is_ours(sidecar) else None
        if taken is not None:
            raise UsageError("OUTPUT_EXISTS", f"{taken.name} exists already; pass --overwrite, or name another output")


def _is_ours(sidecar: Path) -> bool:
    """Returns whether a sidecar has the object `Synthetic` of `provenance`."""
    return isinstance(read_object(sidecar).get("Synthetic"), dict)


def _require_writable(outputs: Sequence[Path]) -> None:
    """Refuses a folder that cannot be written before the time of a translation is spent.

    The folder of an output may not exist yet; the nearest one above it that does is asked. A disk that fills up, or a
    permission that changes meanwhile, is still found when the files are written.

    Raises:
        CannotWrite: `WRITE`.
    """
    for path in outputs:
        folder = next(above for above in path.absolute().parents if above.exists())
        if not folder.is_dir():
            raise CannotWrite("WRITE", f"{path.name}: {folder.name} is a file, not a folder; name another output")
        if not os.access(folder, os.W_OK):
            raise CannotWrite(
                "WRITE", f"{path.name}: its folder cannot be written; name another output, or change its permissions"
            )


def _require_distinct(inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Refuses an output that is an input, that lies inside an input folder, or that equals the other output.

    An output `T1.nii` beside the input `T1.nii.gz` is refused, too: both would have the sidecar `T1.json`, which would
    then call the input synthetic.

    Raises:
        UsageError: `OUTPUT_IS_INPUT`.
    """
    used = {path.resolve() for path in inputs}
    sidecars = {sidecar_path(path) for path in used if nifti_suffix(path)}
    for path in outputs:
        place = path.resolve()
        sidecar = sidecar_path(place)
        if sidecar in sidecars and place not in used:
            raise UsageError(
                "OUTPUT_IS_INPUT",
                f"{path.name} would share its sidecar {sidecar.name} with an input or the other output; name another",
            )
        if place in used or any(parent in used and parent.is_dir() for parent in place.parents):
            raise UsageError(
                "OUTPUT_IS_INPUT", f"{path.name} is an input, inside one, or the other output; name another"
            )
        used.add(place)
        sidecars.add(sidecar)
