"""Registers scans to the MNI152 template.

The template is MNI152NLin2009aSym at 1 mm, brain only, as shipped with nilearn. Bottani et al. used MNI152NLin2009cSym,
which no installable package contains; both are symmetric averages of the same 152 people in the same space, from two
versions of one pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from voxlate.preparation.libraries import library
from voxlate.preparation.registration.registration import Registration, register
from voxlate.volume import Mask, Volume

NAME = "MNI152NLin2009aSym"


@dataclass(frozen=True)
class Template:
    """An average brain.

    Attributes:
        name: name of its space in BIDS.
        volume: T1-weighted, (i, j, k), brain only, 1 mm, values 0 to 1.
        mask: brain mask, (i, j, k).
    """

    name: str
    volume: Volume
    mask: Mask = field(repr=False)


@lru_cache(maxsize=1)
def mni_template() -> Template:
    """Returns the template; it is read once per process.

    Raises:
        MissingLibrary: `MISSING_LIBRARY`.
    """
    image = library("nilearn.datasets").load_mni152_template(resolution=1)
    volume = Volume(image.get_fdata(dtype=np.float32), image.affine, "T1nce")
    return Template(NAME, volume, volume.data > 0)


@lru_cache(maxsize=1)
def mni_tissues() -> dict[str, Volume]:
    """Returns the tissue probabilities of the template (CSF, GM and WM), 0 to 1, on its grid; read once per process.

    GM and WM are nilearn's maps; CSF is the rest of the brain mask.

    Raises:
        MissingLibrary: `MISSING_LIBRARY`.
    """
    datasets, template = library("nilearn.datasets"), mni_template()
    maps = [load(resolution=1) for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)]
    gm, wm = (np.clip(np.asarray(image.get_fdata(dtype=np.float32)), 0, 1) for image in maps)
    csf = np.clip(template.mask - gm - wm, 0, 1).astype(np.float32)
    return {name: template.volume.with_data(data, shows=name) for name, data in (("CSF", csf), ("GM", gm), ("WM", wm))}


def to_template(volume: Volume, mask: Mask) -> Registration:
    """Registers the brain of a scan to the template with an affine transform.

    Args:
        volume: a scan of a head, (i, j, k), any contrast.
        mask: its brain mask, (i, j, k); everything else is set to zero, because the template has no skull.

    Returns:
        The transform takes millimetres of the template to those of `volume`.
    """
    template = mni_template()
    brain = volume.with_data(np.where(mask, volume.data, 0))
    return register(template.volume, brain, degrees=12, fixed_mask=template.mask, moving_mask=mask, to_average=True)
