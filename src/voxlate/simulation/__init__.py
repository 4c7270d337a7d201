"""A physics-based simulator of paired scans, with the truth about each and no claim to clinical accuracy.

`simulate_subject` makes one subject in memory; `voxlate.simulation.files.dataset` writes many as BIDS.
"""

from voxlate.simulation.subject import SIZES_MM, TASKS, Options, Subject, simulate_subject

__all__ = ["SIZES_MM", "TASKS", "Options", "Subject", "simulate_subject"]
