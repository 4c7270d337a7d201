"""Tab-separated tables are read as text, and refused with their line when they are not such tables."""

import pytest

from voxlate.errors import InputRefused, NoInput
from voxlate.io.tables import read_rows


def table(folder, text):
    path = folder / "table.tsv"
    path.write_text(text)
    return path


def test_rows_are_read_by_name_and_synonyms_by_the_name_they_stand_for(tmp_path):
    path = table(tmp_path, "participant_id\tage\nsub-1\t61\nsub-2\t\n")
    assert read_rows(path, code="X") == [
        {"participant_id": "sub-1", "age": "61"},
        {"participant_id": "sub-2", "age": ""},
    ]
    found = read_rows(path, code="X", needed=("patient",), synonyms={"participant_id": "patient"})
    assert [row["patient"] for row in found] == ["sub-1", "sub-2"]
    assert read_rows(table(tmp_path, "a\tb\n"), code="X", needed=("a",)) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "X table.tsv: column a is missing"),
        ("b,a\n1,2\n", "X table.tsv: column a is missing; columns are separated by tabs"),
        ("a\tb\n1\t2\n3\n", "X table.tsv: line 3 has more or fewer fields"),
        ("a\tb\n\n1\t2\n\n3\n", "X table.tsv: line 5 has more or fewer fields"),
        ("a\tb\n1\t2\t3\n", "X table.tsv: line 2 has more or fewer fields"),
        ("a\tb\tb\n1\t2\t3\n", "X table.tsv: column b occurs twice"),
        (f"a\n{'x' * 200_000}\n", "X table.tsv: field larger than field limit"),
        ('a\n"open\n', "X table.tsv: unexpected end of data"),
    ],
)
def test_what_is_no_such_table_is_refused_with_the_given_code(tmp_path, text, told):
    with pytest.raises(InputRefused, match=told):
        read_rows(table(tmp_path, text), code="X", needed=("a",))


def test_a_column_and_its_synonym_are_one_column_that_occurs_twice(tmp_path):
    path = table(tmp_path, "participant_id\tpatient\tage\nsub-1\tp1\t61\n")
    assert len(read_rows(path, code="X")) == 1
    with pytest.raises(InputRefused, match=r"X table.tsv: column participant_id, patient occurs twice"):
        read_rows(path, code="X", synonyms={"participant_id": "patient"})


def test_a_missing_table_is_no_input(tmp_path):
    with pytest.raises(NoInput, match=r"NO_INPUT none.tsv: this table does not exist"):
        read_rows(tmp_path / "none.tsv", code="X")
