import errno

import pytest

from voxlate import errors
from voxlate.errors import CannotWrite, TemporaryFailure, VoxlateError, writing


def test_every_error_is_drawn_in_the_docstring():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VoxlateError)]
    assert len(kinds) == 7
    for kind in kinds:
        line = next(line for line in errors.__doc__.splitlines() if kind.__name__ in line)
        assert str(kind.exit_status) in line.split()


def test_a_message_begins_with_state_and_code():
    assert str(errors.InputRefused("CONSTANT", "one value")) == "REFUSED:CONSTANT one value"


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, TemporaryFailure, "IO"),
        (errno.EDQUOT, TemporaryFailure, "IO"),
        (errno.EROFS, CannotWrite, "WRITE"),
    ],
)
def test_a_full_disk_is_temporary_and_a_read_only_one_is_not(number, kind, code):
    with pytest.raises(kind) as caught, writing("out.nii.gz"):
        raise OSError(number, "no")
    assert caught.value.code == code
