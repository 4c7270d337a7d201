"""Physics-based simulation of paired scans with known truth; it makes no claim to clinical accuracy.

`simulate_subject` makes one subject in memory; `voxlate.simulation.files.dataset` writes many as a BIDS data set.

- `anatomy`: heads and lumbar spines as partial-volume maps, and what tissues are made of;
- `lesions`: lesions and disc grades, and how much contrast agent a lesion takes up;
- `physics`: sequences, contrast agent, scanners and artefacts, from tissues to images;
- `files`: BIDS and DICOM.
"""

from voxlate.simulation.subject import SIZES_MM, TASKS, Options, Subject, simulate_subject

__all__ = ["SIZES_MM", "TASKS", "Options", "Subject", "simulate_subject"]
