import numpy as np

from voxlate.evaluation.schema.results import NetworkPictures
from voxlate.reporting.figures.feature_maps import GAP_PX, mosaic
from voxlate.reporting.sections.network_pictures import sheets


def test_tiles_form_a_square_and_each_is_scaled_separately():
    tiles = np.zeros((5, 2, 2))
    tiles[1] = [[0, 10], [20, 30]]
    tiles[4] = [[-1, 0], [0, 1]]
    sheet = mosaic(tiles)
    size = 28 + GAP_PX
    assert sheet.shape == (2 * size, 3 * size)
    assert (sheet[:28, :28] == 128).all()
    second = sheet[:28, size : size + 28]
    assert (second[0, 0], second[0, -1], second[-1, -1]) == (0, 85, 255)
    last = sheet[size : size + 28, size : size + 28]
    assert (last[0, 0], last[-1, -1]) == (0, 255)
    assert (sheet[size:, 2 * size :] == 255).all()


def test_a_network_without_pictures_has_no_sheet_and_one_with_pictures_has_two():
    assert sheets(None) is None
    random = np.random.default_rng(0)
    pictures = NetworkPictures(
        case="sub-01",
        filters=random.random((64, 7, 7)).tolist(),
        maps=random.random((81, 4, 4)).tolist(),
        channels=2048,
    )
    text = str(sheets(pictures))
    assert text.count("<img") == 2
    assert "64 filters of the first layer, 7 x 7" in text
    assert "81 of 2,048 channels" in text
