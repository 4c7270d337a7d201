"""Tables of keyboard shortcuts never give one key two meanings."""

import doctest
import string

import numpy as np
import pytest

from voxlate.web import keyboard
from voxlate.web.keyboard import Shortcut, digits, lettered, to_json

TAKEN = (Shortcut("a", ("x", "n"), "X"), Shortcut("b", ("ArrowUp",), "↑"), digits(0, 9))


def test_the_example_runs():
    done = doctest.testmod(keyboard)
    assert (done.attempted, done.failed) == (1, 0)


@pytest.mark.parametrize("seed", range(20))
def test_every_name_gets_its_own_letter_that_nothing_else_uses(seed):
    generator = np.random.default_rng(seed)
    alphabet = list("nNxX aé1" + string.ascii_lowercase)
    names = ["".join(generator.choice(alphabet, size=generator.integers(1, 6))) for _ in range(5)]
    letters = [key for shortcut in lettered("preset", names, TAKEN) for key in shortcut.keys]
    assert len(set(letters)) == 5
    assert not {"x", "n"} & set(letters)
    assert set(letters) <= set(string.ascii_lowercase)


def test_a_name_gets_its_first_free_letter():
    assert [shortcut.shown for shortcut in lettered("preset", ["narrow", "Axial", "äx"], TAKEN)] == ["A", "I", "B"]


def test_digits_are_written_as_a_range_or_as_a_pair():
    assert digits(1, 2).shown == "1 2"
    assert digits(1, 5).shown == "1 … 5"
    assert to_json([digits(1, 2)])[0]["keys"] == ("1", "2")
