import numpy as np
import pytest

from preparation.heads import simulated
from voxlate.errors import InputRefused
from voxlate.preparation.registration.registration import register
from voxlate.preparation.steps import head_orientation
from voxlate.preparation.steps.head_orientation import better_orientation, mirrored_fits_better, proper_turns
from voxlate.volume import Volume


def head() -> tuple[Volume, np.ndarray]:
    subject = simulated()
    return subject.images["T1w"], subject.truth.brain_mask.data > 0.5


def relabelled(volume: Volume, signs: tuple[int, int, int]) -> Volume:
    return Volume(volume.data, np.diag([*signs, 1.0]) @ volume.affine)


def test_there_are_24_turns_and_none_is_a_mirror():
    turns = proper_turns()
    assert len({turn.tobytes() for turn in turns}) == 24
    assert all(np.linalg.det(turn) == pytest.approx(1) for turn in turns)
    assert np.array_equal(turns[0], np.eye(3))


@pytest.mark.slow
def test_a_head_that_lies_as_stated_is_left_alone_and_one_upside_down_is_told():
    volume, mask = head()
    assert better_orientation(volume, mask) is None
    found = better_orientation(relabelled(volume, (-1, 1, -1)), mask)
    assert found == "R where the header says L, S where the header says I"


def test_a_head_that_lies_otherwise_is_refused_by_name_and_one_that_does_not_passes(monkeypatch):
    volume, mask = head()
    monkeypatch.setattr(head_orientation, "better_orientation", lambda *_: "S where the header says I")
    with pytest.raises(
        InputRefused, match=r"ORIENTATION the orientation of the head in the target .* S where the header says I"
    ):
        head_orientation.require_upright("target", volume, mask)
    monkeypatch.setattr(head_orientation, "better_orientation", lambda *_: None)
    head_orientation.require_upright("target", volume, mask)


@pytest.mark.slow
def test_a_partner_that_is_mirrored_is_told_from_one_that_is_not():
    subject = simulated()
    fixed, mask = subject.images["T1ce"], subject.truth.brain_mask.data > 0.5
    for signs, expected in (((1, 1, 1), False), ((-1, 1, 1), True)):
        partner = relabelled(subject.images["T1w"], signs)
        stated = register(fixed, partner, fixed_mask=mask, moving_mask=mask)
        found = mirrored_fits_better(fixed, partner, stated, fixed_mask=mask, moving_mask=mask)
        assert found is expected
