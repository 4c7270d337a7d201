"""Diagrams of networks: their stages, and what the drawing says."""

import pytest

from voxlate.errors import NoInput
from voxlate.reporting.figures.network_diagram import Stage, draw_networks, joined


def texts(drawing):
    axes = drawing.figure.axes[0]
    return [text.get_text() for text in axes.texts] + [axes.get_title(loc="left")]


def test_neighbours_of_one_size_are_one_box_with_their_number():
    stages = [Stage("a.0", 8, (4, 4)), Stage("a.1", 8, (4, 4)), Stage("b", 8, (2, 2)), Stage("c", 8, (4, 4))]
    assert [(stage.name, stage.count) for stage in joined(stages)] == [("a.0", 2), ("b", 1), ("c", 1)]


@pytest.mark.parametrize(
    ("size", "text"), [((64, 64, 64), "64³"), ((32, 32), "32²"), ((8, 4, 2), "8 × 4 × 2"), ((4096,), "4,096")]
)
def test_sizes_are_told_in_short(size, text):
    assert Stage("a", 1, size).size_text == text


def test_a_box_is_as_tall_as_its_voxels_and_as_wide_as_its_channels():
    stages = [Stage("a", 4, (64, 64)), Stage("b", 64, (8, 8)), Stage("t", 64, (64,)), Stage("c", 4, (64, 64))]
    drawing = draw_networks({"one": stages}, {"one": 1234})
    first, second, tokens, last = drawing.figure.axes[0].patches
    assert first.get_height() > second.get_height() == tokens.get_height()
    assert first.get_width() < second.get_width()
    assert len({box.get_facecolor() for box in (first, second, tokens, last)}) == 4
    assert {"one: 1,234 parameters", "64²", "8²", "64", "a"} <= set(texts(drawing))


def test_no_network_is_nothing_to_draw():
    with pytest.raises(NoInput, match="NO_INPUT"):
        draw_networks({}, {})
