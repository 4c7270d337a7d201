"""Runtimes of a network: torch, or OpenVINO in 32 bits or in 8 bits if the bundle has these."""

from voxlate.inference.runtime.runners import INT8, OPENVINO, RUNTIMES, TORCH, runner_of
from voxlate.inference.runtime.select import choose_runtime

__all__ = ["INT8", "OPENVINO", "RUNTIMES", "TORCH", "choose_runtime", "runner_of"]
