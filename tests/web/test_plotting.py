"""The colours of plots."""

import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from voxlate.web.plotting import COLOURS, SERIES_COLOURS

# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
VISION = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def seen(colour: str, vision: str) -> np.ndarray:
    light = np.clip(np.asarray(VISION[vision]) @ linear(colour), 0, 1)
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return rgb2lab(value[None, None])[0, 0]


@pytest.mark.parametrize(("vision", "least"), [("full", 16), *((name, 9.8) for name in list(VISION)[1:])])
def test_no_two_colours_of_series_look_alike(vision, least):
    differences = {
        (one, other): float(deltaE_ciede2000(seen(one, vision), seen(other, vision)))
        for one, other in itertools.combinations(SERIES_COLOURS, 2)
    }
    closest = min(differences, key=differences.get)
    assert differences[closest] >= least, closest


def test_no_colour_of_a_series_looks_like_that_of_the_source_or_of_the_synthetic_image():
    for vision, colour, name in itertools.product(VISION, SERIES_COLOURS, ("source", "synthetic")):
        assert deltaE_ciede2000(seen(colour, vision), seen(COLOURS[name], vision)) >= 8.8, (vision, colour, name)


def test_lines_in_the_colours_of_series_stand_out_from_white_paper():
    luminance = {colour: linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in SERIES_COLOURS}
    assert min(1.05 / (value + 0.05) for value in luminance.values()) >= 3
