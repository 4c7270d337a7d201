import pytest
import torch

from voxlate.inference.runtime.repeatable import RepeatableConvolutions
from voxlate.inference.runtime.runners import _in_torch


def settings():
    cudnn = torch.backends.cudnn
    precision = cudnn.conv.fp32_precision if hasattr(cudnn, "conv") else cudnn.allow_tf32
    return precision, cudnn.deterministic


EXACT = ("ieee" if hasattr(torch.backends.cudnn, "conv") else False, True)


def test_a_network_convolves_in_32_bits_and_repeatably_in_inference_and_as_before_afterwards():
    before, seen = settings(), []

    def network(x):
        seen.append(settings())
        return x

    _in_torch(network)(torch.ones(1, 1, 2, 2, 2))
    assert seen == [EXACT] != [before]
    assert settings() == before


def test_the_settings_come_back_after_an_error_and_where_a_program_chose_its_own():
    torch.backends.cudnn.allow_tf32 = False  # the setting of older programs
    chosen = settings()
    try:
        with pytest.raises(RuntimeError, match="full"), RepeatableConvolutions():
            raise RuntimeError("full")
        assert settings() == chosen
        assert torch.backends.cudnn.allow_tf32 is False
    finally:
        torch.backends.cudnn.allow_tf32 = True
