"""Programs of others, played by small scripts that answer as their manuals say."""

import stat
import sys

import numpy as np
import pytest

from voxlate.errors import InputRefused, UsageError
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.tissues import TISSUES
from voxlate.evaluation.tissues.external import EXTERNAL, SPM_VARIABLE

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
HEADING = """#!{python}
import sys, numpy as np, nibabel as nib
def save(path, data, image):
    nib.save(nib.Nifti1Image(np.asarray(data, dtype=np.float32), image.affine), path)
"""
FAST = """
image = nib.load(sys.argv[-1])
assert sys.argv[1:5] == ["-n", "3", "-t", "1"]
x = image.get_fdata()
save(sys.argv[sys.argv.index("-o") + 1] + "_seg.nii.gz", np.digitize(x, [0.1, 0.5, 0.9]), image)
"""
SYNTHSEG = """
image = nib.load(sys.argv[sys.argv.index("--i") + 1])
x = image.get_fdata()
save(sys.argv[sys.argv.index("--o") + 1], np.choose(np.digitize(x, [0.1, 0.5, 0.9]), [0, 24, 42, 41]), image)
"""
SPM = """
import re, os
assert sys.argv[1:3] == ["mcr", "batch"]
path = re.search(r"vols = \\{{'(.*),1'\\}}", open(sys.argv[3]).read())[1]
image = nib.load(path)
x = image.get_fdata()
for number, low, high in ((1, 0.5, 0.9), (2, 0.9, 9), (3, 0.1, 0.5)):
    save(os.path.join(os.path.dirname(path), f"c{{number}}image.nii"), 0.8 * ((x >= low) & (x < high)), image)
"""
SCRIPTS = {"fsl": ("fast", FAST), "synthseg": ("mri_synthseg", SYNTHSEG), "spm": ("spm", SPM)}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts a script in the place of a program and returns a function that makes its segmenter."""

    def install(name, text=None):
        program, usual = SCRIPTS[name]
        path = tmp_path / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text((HEADING + (usual if text is None else text)).format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(path.parent))
        monkeypatch.setenv(SPM_VARIABLE, f"{path} mcr")
        return EXTERNAL[name](AFFINE)

    return install


def image():
    data = np.random.default_rng(0).choice([0.3, 0.7, 1.0], size=(12, 13, 14)).astype(np.float32)
    mask = np.zeros(data.shape, dtype=bool)
    mask[2:10, 2:11, 3:12] = True
    return data, mask


@pytest.mark.parametrize("name", sorted(EXTERNAL))
def test_what_a_program_answers_is_brought_to_the_labels_of_all(installed, name):
    data, mask = image()
    labels = installed(name).segment(data, mask, spacing_mm=(2, 2, 2))
    for tissue, value in (("CSF", 0.3), ("GM", 0.7), ("WM", 1.0)):
        assert np.array_equal(labels == TISSUES[tissue], mask & np.isclose(data, value))
    assert labels.dtype == np.int8


@pytest.mark.parametrize("name", sorted(EXTERNAL))
def test_a_program_that_is_not_installed_is_named(name, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(SPM_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="MISSING_TOOL"):
        EXTERNAL[name](AFFINE)


@pytest.mark.parametrize(("text", "reason"), [("sys.exit(3)", "ended with status 3"), ("", "wrote no segmentation")])
def test_a_program_that_fails_or_leaves_nothing_refuses_the_case(installed, text, reason):
    data, mask = image()
    with pytest.raises(InputRefused, match=f"SEGMENTER fsl {reason}"):
        installed("fsl", text).segment(data, mask, spacing_mm=(2, 2, 2))


def test_a_segmenter_that_there_is_not_or_without_segmenting_is_refused():
    with pytest.raises(UsageError, match=r"SEGMENT no segmenter 'ants'; choose from priors, fsl, spm, synthseg"):
        Settings(is_segmented=True, more_segmenters=("ants",))
    with pytest.raises(UsageError, match="named without --segment"):
        Settings(more_segmenters=("priors",))
