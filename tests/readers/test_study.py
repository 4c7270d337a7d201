import pytest

from voxlate.errors import NoInput, UsageError
from voxlate.readers.study import LEE_STRUCTURES, parse_study, read_study

from .conftest import STUDY


def test_an_unknown_key_is_an_error_that_names_its_place():
    with pytest.raises(
        UsageError,
        match=r"designs.0.real_or_synthetic.margn is not a key of the study; did you mean margin\?",
    ):
        parse_study(STUDY.replace("name: turing,", "name: turing, margn: 0.2,"), name="study.yaml")


def test_text_that_is_not_yaml_is_refused_in_one_line():
    with pytest.raises(UsageError, match=r"STUDY study\.yaml: not YAML"):
        parse_study("a: [", name="study.yaml")


def test_a_missing_study_file_is_refused(tmp_path):
    with pytest.raises(NoInput, match=r"nothing\.yaml"):
        read_study(tmp_path / "nothing.yaml")


def test_two_readers_or_designs_with_one_name_are_refused():
    with pytest.raises(UsageError, match="names must differ"):
        parse_study(STUDY.replace("id: ben", "id: anna"), name="study.yaml")


def test_the_design_marks_needs_a_folder_of_lesions():
    with pytest.raises(UsageError, match=r"needs images\.lesions"):
        parse_study(STUDY.replace("lesions: lesions, ", ""), name="study.yaml")


def test_lee_s_nine_structures_are_the_default():
    text = STUDY.replace(", structures: [disc, muscle]", "")
    design = parse_study(text, name="study.yaml").design("lee")
    assert design.structures == LEE_STRUCTURES
    assert len(LEE_STRUCTURES) == 9


def test_a_change_of_a_margin_changes_the_hash_of_the_study():
    one = parse_study(STUDY, name="a")
    other = parse_study(STUDY.replace("name: choice", "name: choice, margin: 0.2"), name="a")
    assert one.content_hash() != other.content_hash()
