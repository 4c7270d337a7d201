import errno

import pytest
from tiny import RECIPE

from voxlate import errors
from voxlate.bundle.recipe import parse_recipe
from voxlate.errors import CannotWrite, InputRefused, TemporaryFailure, UsageError, VoxlateError, os_failure, writing


def test_every_error_is_drawn_in_the_docstring():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VoxlateError)]
    assert len(kinds) == 8
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


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.EEXIST])
def test_a_file_in_the_place_of_a_folder_is_told_as_such(number):
    with pytest.raises(CannotWrite, match=r"x.json: a part of its path is a file, not a folder; name another"):
        raise os_failure(OSError(number, "File exists"), "x.json")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("x\u202egnp", r"x\u202egnp"),
        ("Müller – 5 mm³", "Müller – 5 mm³"),
        (b"IM\xff.dcm".decode("utf-8", "surrogateescape"), r"IM\xff.dcm"),
        ("a\u2028b\x00", r"a\u2028b\x00"),
    ],
)
def test_a_message_is_one_line_whatever_a_name_holds(text, shown):
    error = InputRefused("UNREADABLE", text)
    assert error.message == shown
    assert str(error) == f"REFUSED:UNREADABLE {shown}"
    str(error).encode()


def test_a_mistyped_key_is_answered_with_the_nearest():
    wanted = r"training\.learning_rte is not a key of the recipe; did you mean training\.learning_rate\?"
    with pytest.raises(UsageError, match=wanted):
        parse_recipe(RECIPE.replace("learning_rate", "learning_rte"), name="r.yaml")


def test_a_key_in_the_wrong_place_is_answered_with_the_right_place():
    with pytest.raises(UsageError, match=r"model\.batch is not a key of the recipe; did you mean training\.batch\?"):
        parse_recipe(RECIPE.replace("model: {name", "model: {batch: 2, name"), name="r.yaml")


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("holds 2 series: 1.2.840.113619.2.5.1 (8 files), 2.25.17", "holds 2 series: [UID] (8 files), [UID]"),
        ("'/data/anna/a.nii' is not a valid case name", "[path] is not a valid case name"),
        ("voxlate 0.1.0 at 127.0.0.1:8042, run: pip install 'voxlate[dicom]'", ""),
        ("the source's 3/4 and the mask's 1.5 mm", ""),
    ],
)
def test_a_record_of_a_message_holds_no_uid_and_no_quoted_path(message, kept):
    assert errors.for_records(message) == (kept or message)
