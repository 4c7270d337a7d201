"""Convolutions of one sample on a processor by oneDNN.

PyTorch computes a 3D convolution of a batch of one with small maps by unfolding its input, which writes each voxel 27
times for a kernel of 3 x 3 x 3. A batch of two goes to oneDNN, which takes less time for both samples than unfolding
takes for one (`python benchmarks/bench_single_sample.py`), and none of that memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

_Size = int | Sequence[int]

UNFOLDED_UP_TO = 20_480
"""Channels times the first two sizes of an input of one sample up to which PyTorch does not take oneDNN by itself
(`use_mkldnn` in ATen's Convolution.cpp)."""


class SingleSampleConvolutions(TorchFunctionMode):
    """Context manager in which 3D convolutions of one sample on a processor are computed by oneDNN.

    Other convolutions are left alone. Results differ by rounding. Gradients are those of oneDNN as well.

    Example:
        >>> import torch
        >>> layer, x = torch.nn.Conv3d(2, 3, 3), torch.ones(1, 2, 8, 8, 8)
        >>> with SingleSampleConvolutions():
        ...     y = layer(x)
        >>> bool(torch.allclose(y, layer(x), atol=1e-5))
        True
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func is torch.conv3d and len(args) > 1:
            x, weight, bias, *rest = (*args, named.pop("bias", None))[: max(len(args), 3)]
            settings = _Settings.of(*rest, **named)
            if settings is not None and _is_meant(x, weight, bias):
                return _Convolution.apply(x, weight, bias, settings)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _Settings(NamedTuple):
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    @classmethod
    def of(cls, stride: _Size = 1, padding: _Size | str = 0, dilation: _Size = 1, groups: int = 1) -> _Settings | None:
        """Returns the settings of a convolution with a number for each axis; None for padding in words."""
        if isinstance(padding, str):
            return None
        return cls(_for_each_axis(stride), _for_each_axis(padding), _for_each_axis(dilation), groups)


def _for_each_axis(size: _Size) -> list[int]:
    return [size] * 3 if isinstance(size, int) else list(size)


def _is_meant(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    is_learning = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias))
    return (
        x.dim() == 5
        and x.shape[0] == 1
        and (not is_learning or x.shape[:4].numel() <= UNFOLDED_UP_TO)
        and all(each.dtype == torch.float32 and each.device.type == "cpu" for each in (x, weight))
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, settings: _Settings) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.bias_sizes = None if bias is None else list(bias.shape)
        ctx.settings = settings
        if weight.numel() < x.numel():  # channels last are faster, unless the weights take longer to copy
            weight = weight.contiguous(memory_format=torch.channels_last_3d)
        stride, padding, dilation, groups = settings
        return torch.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Adds a sample of zeros, with which PyTorch takes oneDNN: two samples take less time than one without."""
        x, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        both = [torch.cat([each, torch.zeros_like(each)]) for each in (gradient, x)]
        of_x, of_weight, of_bias = torch.ops.aten.convolution_backward(
            *both,
            weight,
            ctx.bias_sizes,
            stride,
            padding,
            dilation,
            False,  # not transposed
            [0, 0, 0],
            groups,
            list(ctx.needs_input_grad[:3]),
        )
        return None if of_x is None else of_x[:1], of_weight, of_bias, None
