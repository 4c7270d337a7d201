"""Do conclusions drawn from synthetic images agree with those drawn from real ones? Three checks that papers wish for.

- `classification`: a classifier of atrophy on tissue volumes, trained and tested on real, synthetic or both images.
- `longitudinal`: the change of volumes between the sessions of a patient.
- `structures`: volumes of structures from label maps, and cortical thickness from tables of FreeSurfer.

All of them start from `Measurement` rows, one number per patient, session, method and structure (`measurements`).
"""

from voxlate.evaluation.downstream.classes import read_classes, simulated_atrophy
from voxlate.evaluation.downstream.classification import Regime, classify, classify_files
from voxlate.evaluation.downstream.freesurfer import read_stats, structure_volumes
from voxlate.evaluation.downstream.longitudinal import changes, compare_changes, compare_changes_files
from voxlate.evaluation.downstream.measurements import (
    Measurement,
    from_volume_rows,
    read_measurements,
    write_measurements,
)
from voxlate.evaluation.downstream.structures import (
    compare_structures,
    compare_structures_files,
    measure_label_maps,
)

__all__ = [
    "Measurement",
    "Regime",
    "changes",
    "classify",
    "classify_files",
    "compare_changes",
    "compare_changes_files",
    "compare_structures",
    "compare_structures_files",
    "from_volume_rows",
    "measure_label_maps",
    "read_classes",
    "read_measurements",
    "read_stats",
    "simulated_atrophy",
    "structure_volumes",
    "write_measurements",
]
