"""Convolutions on a GPU in full 32-bit precision, by algorithms that give the same result each time."""

from __future__ import annotations

from typing import Any

import torch


class RepeatableConvolutions:
    """Context manager in which cuDNN convolves in 32 bits and repeatably; it has no effect on a CPU.

    From the Ampere generation on, torch lets cuDNN round what a convolution multiplies to the 10 bits of TF32, each
    number by up to 1 part in 2,048: a scan would get other values on such a GPU than on an older one or on a CPU. Some
    algorithms of cuDNN add in an order that changes from run to run.

    The settings are those of the process; they are put back at the end.
    """

    def __enter__(self) -> RepeatableConvolutions:
        cudnn: Any = torch.backends.cudnn
        # torch 2.9 brought a setting for each kind of operation, and refuses to read the older one where they differ.
        self._place = getattr(cudnn, "conv", cudnn)
        self._name, exact = ("fp32_precision", "ieee") if self._place is not cudnn else ("allow_tf32", False)
        self._before = getattr(self._place, self._name), cudnn.deterministic
        setattr(self._place, self._name, exact)
        cudnn.deterministic = True
        return self

    def __exit__(self, *error: object) -> None:
        cudnn: Any = torch.backends.cudnn
        precision, cudnn.deterministic = self._before
        setattr(self._place, self._name, precision)
