"""Denoising removes noise, keeps edges and leaves a constant image alone."""

import numpy as np

from voxlate.preparation.steps.denoise import denoised
from voxlate.volume import Volume


def test_noise_is_halved_and_an_edge_of_ten_times_the_noise_keeps_its_height():
    clean = np.zeros((24, 24, 24), np.float32) + 100
    clean[12:] = 200
    noisy = clean + np.random.default_rng(0).normal(0, 10, clean.shape).astype(np.float32)
    result = denoised(Volume(noisy, np.diag([2.0, 2, 2, 1]))).data
    flat = np.s_[2:9, 2:-2, 2:-2]
    assert result[flat].std() < 0.5 * noisy[flat].std()
    step = result[12, 4:-4, 4:-4].mean() - result[11, 4:-4, 4:-4].mean()
    assert abs(step - 100) < 15


def test_a_constant_image_is_unchanged():
    constant = Volume(np.full((8, 9, 7), 41.0), np.eye(4))
    assert np.allclose(denoised(constant).data, 41)
