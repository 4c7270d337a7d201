"""The preparation of `t1-linear` with plain ANTs calls, for `bench_prepare.py --ants-python`.

    python benchmarks/ants_job.py JOB FIXED MOVING OUT.json [START.npy]

Runs where antspyx is installed (it wants an older numpy, so that it has an environment of its own). JOB is `rigid`,
`affine` or `n4`. OUT.json gets the seconds without reading and, for a registration, the 4 x 4 matrix from millimetres
of the fixed to those of the moving scan (RAS+).
"""

import json
import sys
import time
from pathlib import Path

import ants
import numpy as np

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def matrix(path: str) -> np.ndarray:
    """Returns an ITK affine transform as a matrix in RAS+ millimetres."""
    transform = ants.read_transform(path)
    parameters, centre = np.array(transform.parameters), np.array(transform.fixed_parameters)
    found = np.eye(4)
    found[:3, :3] = parameters[:9].reshape(3, 3)
    found[:3, 3] = parameters[9:] + centre - found[:3, :3] @ centre
    return LPS @ found @ LPS


def main(job: str, fixed: str, moving: str, out: str) -> None:
    first, second = ants.image_read(fixed), ants.image_read(moving)
    start = time.perf_counter()
    content = {}
    if job == "n4":
        ants.n4_bias_field_correction(second, spline_param=600)
    else:
        kind = {"rigid": "Rigid", "affine": "antsRegistrationSyNQuick[a]"}[job]
        found = ants.registration(first, second, type_of_transform=kind, random_seed=1)
        content["matrix"] = matrix(found["fwdtransforms"][0]).tolist()
    content["seconds"] = round(time.perf_counter() - start, 2)
    Path(out).write_text(json.dumps(content))


if __name__ == "__main__":
    main(*sys.argv[1:])
