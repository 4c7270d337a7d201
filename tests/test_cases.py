from dataclasses import replace
from pathlib import Path

import pytest

from voxlate.cases import (
    ABSENT,
    Case,
    cases_from_pattern,
    check_cases,
    prepared_in,
    read_cases,
    rows_of_split,
    write_cases,
)
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.inference.inputs import items_of_cases
from voxlate.inference.item import Item
from voxlate.inference.manifest import read_manifest


def case(name: str, split: str = "train", patient: str | None = None) -> Case:
    return Case(name, patient or name, split, Path("s.nii"), Path("t.nii"))


def test_a_table_is_read_back_as_it_was_written(tmp_path):
    cases = [
        Case("a", "p1", "train", tmp_path / "x" / "s.nii", tmp_path / "t.nii", tmp_path / "m.nii", None),
        Case("b", "p2", "test", tmp_path / "s.nii", tmp_path / "t.nii", None, tmp_path / "l.nii"),
    ]
    write_cases(tmp_path / "table" / "cases.tsv", cases)
    read = read_cases(tmp_path / "table" / "cases.tsv")
    assert [(c.case, c.patient, c.split) for c in read] == [("a", "p1", "train"), ("b", "p2", "test")]
    assert read[0].source.resolve() == (tmp_path / "x" / "s.nii").resolve()
    assert read[0].labels is None
    assert read[1].mask is None
    assert read[1].labels.resolve() == (tmp_path / "l.nii").resolve()


def test_the_test_set_of_a_case_is_a_column_only_where_one_has_it(tmp_path):
    plain, good = case("a", "test"), replace(case("b", "test"), set="Test_good")
    write_cases(tmp_path / "one.tsv", [plain])
    write_cases(tmp_path / "two.tsv", [plain, good])
    assert "set" not in (tmp_path / "one.tsv").read_text()
    assert [c.set for c in read_cases(tmp_path / "two.tsv")] == ["", "Test_good"]
    with pytest.raises(InputRefused, match="SET b: the name of its set"):
        replace(good, set="two\tcells")


def test_the_mask_of_a_target_is_read_back_and_its_column_stands_only_where_it_is_used(tmp_path):
    plain = case("a")
    write_cases(tmp_path / "c.tsv", [plain])
    assert "target_mask" not in (tmp_path / "c.tsv").read_text()
    write_cases(tmp_path / "c.tsv", [plain, replace(case("b"), set="A", target_mask=tmp_path / "m.nii")])
    first, second = read_cases(tmp_path / "c.tsv")
    assert first.target_mask is None
    assert (second.set, second.target_mask) == ("A", tmp_path / "m.nii")


def test_a_prepared_case_keeps_its_set_and_leaves_out_what_is_missing(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "more_T2w.nii.gz").touch()
    given = replace(case("a"), set="Test_low", more={"T2w": Path("t2.nii"), "ADC": Path("adc.nii")})
    prepared = prepared_in(tmp_path, given)
    assert prepared.set == "Test_low"
    assert prepared.more == {"T2w": tmp_path / "a" / "more_T2w.nii.gz"}
    assert prepared.target_mask is None


def test_the_kind_of_data_is_kept_by_a_written_table_and_a_preparation(tmp_path):
    cases = [replace(case("a"), data_kind="simulated"), case("b")]
    write_cases(tmp_path / "c.tsv", cases)
    assert [each.data_kind for each in read_cases(tmp_path / "c.tsv")] == ["simulated", "unknown"]
    assert prepared_in(tmp_path, cases[0]).data_kind == "simulated"
    write_cases(tmp_path / "c.tsv", cases[1:])
    assert "data_kind" not in (tmp_path / "c.tsv").read_text()


def test_cases_beside_the_description_of_simulated_scans_are_simulated_unless_their_column_says_otherwise(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"GeneratedBy": [{"Name": "voxlate simulate"}]}')
    (tmp_path / "c.tsv").write_text("case\tsource\ttarget\tdata_kind\na\ts\tt\t\nb\ts\tt\treal\n")
    assert [each.data_kind for each in read_cases(tmp_path / "c.tsv")] == ["simulated", "real"]


def test_a_byte_order_mark_does_not_hide_the_first_column(tmp_path):
    (tmp_path / "c.tsv").write_bytes(b"\xef\xbb\xbfcase\tsource\ttarget\na\ts.nii\tt.nii\n")
    assert read_cases(tmp_path / "c.tsv")[0].split == "test"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\nb", ".hidden", "a:b"])
def test_a_name_that_cannot_name_a_file_is_refused(name):
    with pytest.raises(InputRefused, match="CASE_NAME"):
        case(name)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("case\tsource\na\ts.nii\n", "column target is missing; it has: case, source"),
        (
            "case,source,target\na,s.nii,t.nii\n",
            r"c\.tsv: columns must be separated by tabs; save the table as TSV$",
        ),
        (
            "case source target\na s.nii t.nii\n",
            r"columns must be separated by tabs; .*; for blanks: tr -s ' ' '\\t' < c\.tsv > cases\.tsv$",
        ),
        ("case;source;target\n", "columns must be separated by tabs"),
        ("", "column case, source, target is missing; it has: none"),
        (
            "case\tsource\ttarget\na\ts.nii\n",
            "line 2 does not have as many fields as the header; separate them by tabs",
        ),
        ("case\tsource\ttarget\na\ts.nii\tt.nii\textra\n", "as many fields as the header"),
        ("case\tsource\ttarget\na\t\tt.nii\n", "lacks a source"),
        ("case\tsource\ttarget\nb\ts\tt\na\ts.nii\ts.nii\n", "line 3: source and target of 'a' are one file; name"),
        ("case\tsource\ttarget\tsplit\na\ts\tt\tholdout\n", "SPLIT"),
        ("case\tsource\ttarget\tdata_kind\na\ts\tt\tphantom\n", "DATA_KIND a: .* 'phantom'; write real, simulated"),
        ("case\tsource\ttarget\tData_kind\na\ts\tt\treal\n", "'Data_kind' is not known; call it data_kind"),
        ("case\tsource\ttarget\na b\ts\tt\n", "CASE_NAME c.tsv: line 2: .*'a b' has a blank; write '-'"),
        ('case\tsource\ttarget\na\t"s\tt\n', "CASES"),
        ('case\tsource\t"target\na\ts\tt\n', "CASES"),
        ("case\tsource\ttarget\na\ts\0.nii\tt.nii\n", "NUL"),
    ],
)
def test_a_table_with_a_fault_is_refused(tmp_path, text, code):
    (tmp_path / "c.tsv").write_text(text)
    with pytest.raises(InputRefused, match=code):
        read_cases(tmp_path / "c.tsv")


def test_a_table_that_is_not_text_or_is_missing_or_empty_is_refused(tmp_path):
    (tmp_path / "c.tsv").write_bytes(b"case\tsource\ttarget\n\xff\xfe\t\t\n")
    with pytest.raises(InputRefused, match="not UTF-8 at byte 19"):
        read_cases(tmp_path / "c.tsv")
    with pytest.raises(NoInput):
        read_cases(tmp_path / "none.tsv")
    (tmp_path / "c.tsv").write_text("case\tsource\ttarget\n")
    with pytest.raises(NoInput):
        read_cases(tmp_path / "c.tsv")


def test_a_patient_in_two_splits_and_a_case_twice_are_refused():
    with pytest.raises(InputRefused, match="PATIENT_IN_TWO_SPLITS"):
        check_cases([case("a", "train", "p"), case("b", "test", "p")])
    with pytest.raises(InputRefused, match="CASE_DUPLICATE"):
        check_cases([case("a"), case("a")])
    assert len(check_cases([case("a", "train", "p"), case("b", "train", "p")])) == 2


def test_a_pattern_names_the_files_and_optional_ones_only_when_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mask.nii").touch()
    pattern = {"source": "{case}/s.nii", "target": "{case}/t.nii", "mask": "{case}/mask.nii"}
    first, second = cases_from_pattern(tmp_path, pattern, {"train": ["a"], "test": ["b"]})
    assert first.mask == tmp_path / "a" / "mask.nii"
    assert (second.mask, second.split, second.source) == (None, "test", tmp_path / "b" / "s.nii")
    with pytest.raises(UsageError, match="PATTERN"):
        cases_from_pattern(tmp_path, {"source": "s.nii", "target": "{case}/t.nii"}, {"train": ["a"]})


def test_lists_of_unequal_length_are_read_for_training_alone(tmp_path):
    rows = "case\tsplit\tsource\ttarget\na\ttrain\ts.nii\t\nb\ttrain\t\tt.nii\nc\ttrain\tu.nii\tv.nii\n"
    (tmp_path / "c.tsv").write_text(rows)
    read = read_cases(tmp_path / "c.tsv", paired=False)
    assert [(c.source.name, c.target.name, c.is_pair) for c in read] == [
        ("s.nii", "", False),
        ("", "t.nii", False),
        ("u.nii", "v.nii", True),
    ]
    write_cases(tmp_path / "d.tsv", read)
    assert read_cases(tmp_path / "d.tsv", paired=False) == read
    with pytest.raises(InputRefused, match=r"'a' lacks a source or a target; .*paired: false"):
        read_cases(tmp_path / "d.tsv")
    for bad in ("d\ttest\ts.nii\t\n", "d\ttrain\t\t\n"):
        (tmp_path / "c.tsv").write_text(rows + bad)
        with pytest.raises(InputRefused, match="'d' lacks a source or a target"):
            read_cases(tmp_path / "c.tsv", paired=False)


def test_a_table_of_single_scans_needs_no_target_to_be_translated(tmp_path):
    singles = [
        Case("a", "p", "test", tmp_path / "s.nii", ABSENT, set="low"),
        Case("b", "q", "test", tmp_path / "t.nii", ABSENT),
    ]
    write_cases(tmp_path / "c.tsv", singles, without=("split", "target"))
    assert (tmp_path / "c.tsv").read_text() == (
        "case\tpatient\tsource\tmask\tlabels\tset\na\tp\ts.nii\t\t\tlow\nb\tq\tt.nii\t\t\t\n"
    )
    assert read_cases(tmp_path / "c.tsv", paired=False, single=True) == singles
    for paired in (True, False):
        with pytest.raises(InputRefused, match=r"CASES c\.tsv: column target is missing; .* can be translated"):
            read_cases(tmp_path / "c.tsv", paired=paired)
    (tmp_path / "c.tsv").write_text("case\tsource\ttarget\na\ts.nii\t\n")
    assert [each.is_pair for each in read_cases(tmp_path / "c.tsv", paired=False, single=True)] == [False]
    with pytest.raises(InputRefused, match=r"'a' lacks a source or a target; .* can be translated"):
        read_cases(tmp_path / "c.tsv", paired=False)


@pytest.mark.parametrize("row", ["a\t\tt.nii\n", "a\t\t\n", "a\ts.nii\n"])
def test_a_single_scan_has_a_source_and_as_many_fields_as_the_header(tmp_path, row):
    (tmp_path / "c.tsv").write_text(f"case\tsource\ttarget\n{row}")
    with pytest.raises(InputRefused, match=r"lacks a source|as many fields"):
        read_cases(tmp_path / "c.tsv", paired=False, single=True)


def test_a_split_without_a_row_is_answered_with_the_splits_of_the_table():
    rows = [Case(name, name, split, Path("s.nii"), Path("t.nii")) for name, split in (("a", "train"), ("b", "test"))]
    assert rows_of_split(rows, "test") == rows[1:]
    with pytest.raises(
        NoInput, match=r"NO_INPUT no row of the table has the split 'tset'; its splits are: test, train"
    ):
        rows_of_split(rows, "tset")


def test_the_scans_of_a_table_are_those_of_a_split_with_a_source():
    rows = [
        Case("a", "a", "test", Path("s.nii"), ABSENT, mask=Path("m.nii")),
        Case("b", "b", "test", ABSENT, Path("t")),
    ]
    assert items_of_cases(rows, "test") == [Item("a", Path("s.nii"), Path("m.nii"))]
    with pytest.raises(NoInput, match="NO_INPUT"):
        items_of_cases(rows[1:], "test")


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("Label", "labels"),
        ("masks", "mask"),
        ("Split", "split"),
        (" set", "set"),
        ("patiant", "patient"),
        ("lable", "labels"),
        ("spilt", "split"),
        ("patient_id", "patient"),
    ],
)
def test_a_column_that_is_nearly_an_optional_one_is_refused_and_not_ignored(tmp_path, column, meant):
    table = tmp_path / "cases.tsv"
    table.write_text(f"case\tsource\ttarget\t{column}\na\ta.nii\tb.nii\tx\n")
    with pytest.raises(InputRefused, match=f"is not known; call it {meant}"):
        read_cases(table)


@pytest.mark.parametrize("column", ["age", "sex", "site", "task", "scanner", "patient_age"])
def test_a_column_of_ones_own_is_left_alone(tmp_path, column):
    table = tmp_path / "cases.tsv"
    table.write_text(f"case\tsource\ttarget\t{column}\na\ta.nii\tb.nii\tx\n")
    assert read_cases(table)[0].case == "a"


@pytest.mark.parametrize("column", ["mask", "more:T2"])
def test_a_column_that_occurs_twice_is_refused(tmp_path, column):
    table = tmp_path / "cases.tsv"
    table.write_text(f"case\tsource\ttarget\t{column}\t{column}\na\ta.nii\tb.nii\tx\ty\n")
    with pytest.raises(InputRefused, match=f"column {column} occurs twice"):
        read_cases(table)


def test_n_a_in_a_field_means_that_it_is_empty(tmp_path):
    table = tmp_path / "cases.tsv"
    columns = ["case", "patient", "split", "source", "target", "mask", "labels", "more:T2", "set", "target_mask"]
    rows = [["a", *["n/a"] * 2, "a.nii", "b.nii", *["n/a"] * 5], ["b", *[""] * 2, "a.nii", "b.nii", *[""] * 5]]
    table.write_text("".join("\t".join(row) + "\n" for row in (columns, *rows)))
    one, other = read_cases(table)
    assert replace(one, case="b", patient="b") == other
    assert (one.mask, one.labels, one.more, one.set, one.target_mask) == (None, None, {}, "", None)
    table.write_text("case\tsource\ttarget\na\ta.nii\tn/a\n")
    with pytest.raises(InputRefused, match="lacks a source or a target"):
        read_cases(table)


@pytest.mark.parametrize("column", ["more:", "more:T2/x"])
def test_an_additional_source_without_a_usable_contrast_is_refused_at_reading(tmp_path, column):
    table = tmp_path / "cases.tsv"
    table.write_text(f"case\tsource\ttarget\t{column}\na\ta.nii\tb.nii\tx.nii\n")
    with pytest.raises(InputRefused, match=f"CONTRAST_NAME {column} is not a valid column"):
        read_cases(table)
    with pytest.raises(InputRefused, match=f"CONTRAST_NAME {column} is not a valid column"):
        read_manifest(table)


def test_n_a_in_a_manifest_means_that_the_field_is_empty(tmp_path):
    table = tmp_path / "manifest.tsv"
    table.write_text("case\tsource\tmask\tmore:T2\na\ta.nii\tn/a\tn/a\n")
    (item,) = read_manifest(table).items()
    assert (item.mask, dict(item.more)) == (None, {})
    table.write_text("case\tsource\na\tn/a\n")
    with pytest.raises(InputRefused, match="no source"):
        read_manifest(table)


def test_a_column_of_another_meaning_is_left_alone(tmp_path):
    table = tmp_path / "cases.tsv"
    table.write_text("case\tsource\ttarget\tage\tmask\tMask\na\ta.nii\tb.nii\t40\tm.nii\tx\n")
    assert read_cases(table)[0].mask == tmp_path / "m.nii"
