"""Drawings of residual blocks and of the contextual loss."""

import numpy as np
import pytest

from voxlate.errors import InputRefused, NoInput
from voxlate.reporting.figures.contextual_loss import MatchedFeatures, draw_contextual_loss
from voxlate.reporting.figures.residual_block import Operation, ResidualBlock, draw_residual_blocks

CONV, NORM, RELU = (
    Operation("convolution", "3 × 3 conv", 8),
    Operation("normalisation", "batch norm", 8),
    Operation("activation", "ReLU", 8),
)


def block(*shortcut: Operation) -> ResidualBlock:
    return ResidualBlock(4, (), (CONV, NORM, RELU, CONV), shortcut, (RELU,))


def test_every_operation_of_a_block_is_drawn_with_its_channels():
    axes = draw_residual_blocks({"a": block(CONV)}).figure.axes[0]
    shown = [text.get_text() for text in axes.texts]
    path = ["input (4)", "3 × 3 conv\n(4 to 8)", "batch norm", "ReLU", "3 × 3 conv\n(8 to 8)"]
    assert sorted(shown) == sorted([*path, "3 × 3 conv\n(4 to 8)", "+", "ReLU"])


@pytest.mark.parametrize("shortcut", [(), (CONV,), (CONV, NORM), (CONV, NORM, RELU, CONV, NORM)])
def test_boxes_of_a_block_do_not_overlap_and_lie_inside_the_axes(shortcut):
    drawing = draw_residual_blocks({"a": block(*shortcut), "b": block()})
    axes = drawing.figure.axes[0]
    drawing.figure.canvas.draw()
    boxes = [patch.get_window_extent() for patch in axes.patches if hasattr(patch, "get_height")]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    corners = axes.transAxes.inverted().transform([point for box in boxes for point in (box.p0, box.p1)])
    assert corners.min() >= 0
    assert corners.max() <= 1


def test_no_block_is_nothing_to_draw():
    with pytest.raises(NoInput, match="NO_INPUT"):
        draw_residual_blocks({})


def example(synthetic: int = 2) -> MatchedFeatures:
    weight = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]])
    return MatchedFeatures(np.eye(synthetic, 2), np.arange(6.0).reshape(3, 2), weight, weight, weight, 0.57, 0.5)


def test_the_best_match_of_each_target_feature_is_framed_and_the_loss_is_told():
    drawing = draw_contextual_loss(example())
    frames = [patch for patch in drawing.figure.axes[3].patches if not patch.get_fill()]
    assert [(round(f.get_x() + 0.46), round(f.get_y() + 0.46)) for f in frames] == [(0, 0), (1, 1), (2, 1)]
    told = drawing.figure.get_supxlabel()
    assert "0.90, 0.30, 0.50" in told
    assert told.endswith("−log 0.57 = 0.57")


def test_matrices_that_do_not_fit_the_features_are_refused():
    with pytest.raises(InputRefused, match="SIZE"):
        draw_contextual_loss(example(synthetic=4))
