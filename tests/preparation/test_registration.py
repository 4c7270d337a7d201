import os
import signal
import subprocess

import numpy as np
import pytest
from phantoms import ball, head

from preparation.heads import moved, points_mm, rigid, simulated
from voxlate.errors import InputRefused
from voxlate.preparation.registration import greedy
from voxlate.preparation.registration.alignment import alignment_score, normalised_mutual_information, require_aligned
from voxlate.preparation.registration.registration import register
from voxlate.preparation.registration.transform import Transform
from voxlate.volume import Volume


def pair(contrast: str = "T1w") -> tuple[Volume, Volume, np.ndarray]:
    subject = simulated("virtual_contrast")
    return subject.images["T1ce"], subject.images[contrast], subject.truth.brain_mask.data > 0.5


def test_mutual_information_is_two_for_equal_images_and_one_for_unrelated_ones():
    first, second = np.random.default_rng(0).normal(size=(2, 200_000)).astype(np.float32)
    assert normalised_mutual_information(first, first) == pytest.approx(2)
    assert normalised_mutual_information(first, -3 * first) == pytest.approx(2, abs=0.01)
    assert normalised_mutual_information(first, second) == pytest.approx(1, abs=0.01)
    assert normalised_mutual_information(first, np.ones_like(first)) == 1


def test_an_image_agrees_with_its_own_negative_and_not_with_noise():
    image = head(0, shape=(30, 31, 32))
    mask = ball(image.data.shape, 12)
    still = Transform.identity()
    negative = alignment_score(image, image.with_data(500 - image.data), still, fixed_mask=mask)
    assert negative.edge_agreement == pytest.approx(1, abs=0.02)
    noise = alignment_score(image, head(1, shape=(30, 31, 32)), still, fixed_mask=mask)
    assert abs(noise.edge_agreement) < 0.1
    assert (negative.verdict, noise.verdict) == ("good", "bad")
    with pytest.raises(InputRefused, match="MISREGISTERED"):
        require_aligned(noise)


@pytest.mark.slow
@pytest.mark.parametrize("contrast", ["T1w", "T2w"])
def test_the_score_falls_with_every_millimetre(contrast):
    fixed, moving, mask = pair(contrast)
    scores = []
    for mm in (0, 4, 8):
        shift = np.eye(4)
        shift[0, 3] = mm
        scores.append(alignment_score(fixed, moving, Transform(shift), fixed_mask=mask).edge_agreement)
    assert scores[0] > scores[1] + 0.1 > scores[2] + 0.15


def test_coverage_tells_how_much_of_the_brain_the_other_scan_shows():
    fixed, moving, mask = pair()
    half = moving.data.shape[2] // 2
    lower = Volume(np.ascontiguousarray(moving.data[:, :, :half]), moving.affine)
    score = alignment_score(fixed, lower, Transform.identity(), fixed_mask=mask)
    expected = mask[:, :, :half].sum() / mask.sum()
    assert score.coverage == pytest.approx(expected, abs=0.02)
    assert any("covers only" in reason for reason in score.reasons)


@pytest.mark.parametrize(("contrast", "seed"), [("T1w", 3), ("T2w", 4)])
def test_a_head_that_was_moved_by_15_mm_and_15_degrees_is_brought_back(contrast, seed):
    fixed, moving, mask = pair(contrast)
    truth = rigid(seed, degrees=15, shift_mm=15)
    turned = moved(moving, truth)
    found = register(fixed, turned, fixed_mask=mask, moving_mask=mask)
    placed = register(fixed, moving, fixed_mask=mask, moving_mask=mask)
    points = points_mm(fixed, mask)
    assert found.transform.distance_mm(placed.transform.then(truth), points).mean() < 0.2
    assert found.score.verdict == "good"


@pytest.mark.slow
def test_two_heads_are_never_called_a_good_pair():
    fixed, _, mask = pair()
    other = simulated("virtual_contrast", subject=1)
    found = register(fixed, other.images["T1w"], fixed_mask=mask, moving_mask=other.truth.brain_mask.data > 0.5)
    assert found.score.verdict != "good"
    assert found.score.overlap > 0.8


def test_a_registration_program_that_dies_leaves_the_start_and_the_next_call_works(monkeypatch):
    fixed, moving, mask = pair()
    worker = greedy._worker()
    run, killed = worker.ask, []
    worker._pipes()

    def dies_once(question):
        if not killed:
            killed.append(worker._process.pid)
            os.kill(killed[0], signal.SIGKILL)
        return run(question)

    monkeypatch.setattr(worker, "ask", dies_once)
    found = register(fixed, moving, fixed_mask=mask, moving_mask=mask)
    assert len(killed) == 1
    assert found.score.verdict == "good"
    assert subprocess.run(["ps", "-p", str(killed[0])], capture_output=True, check=False).returncode != 0


def test_an_empty_mask_is_refused():
    fixed, moving, mask = pair()
    with pytest.raises(InputRefused, match="EMPTY_MASK"):
        register(fixed, moving, fixed_mask=np.zeros_like(mask), moving_mask=mask)
