from __future__ import annotations

import pytest

from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.schema.results import read_evaluation


def test_a_folder_without_an_evaluation_is_refused(tmp_path) -> None:
    with pytest.raises(NoInput, match=r"EVALUATION_MISSING.*voxlate evaluate"):
        read_evaluation(tmp_path / "Smith_John" / "ev")


def test_a_missing_key_is_named_with_its_place(evaluation) -> None:
    folder = evaluation("a", images=False)
    del folder.content["summary"][2]["mean"]
    with pytest.raises(InputRefused, match=r"EVALUATION_INVALID.*summary\.2\.mean"):
        read_evaluation(folder.write())


def test_a_reference_level_must_be_above_zero(evaluation) -> None:
    folder = evaluation("a", images=False)
    folder.content["cases"][0]["reference_level"]["target"] = 0
    with pytest.raises(InputRefused, match=r"cases\.0\.reference_level\.target"):
        read_evaluation(folder.write())


def test_half_a_file_is_refused(evaluation) -> None:
    path = evaluation("a", images=False).write()
    (path / "evaluation.json").write_text('{"voxlate_version": ')
    with pytest.raises(InputRefused, match="not JSON"):
        read_evaluation(path)


def test_scores_that_are_no_numbers_are_refused_with_their_line(evaluation) -> None:
    folder = evaluation("a", images=False)
    folder.rows[1][5] = "much"
    with pytest.raises(InputRefused, match="line 3"):
        read_evaluation(folder.write())


def test_a_table_without_a_column_is_refused(evaluation) -> None:
    path = evaluation("a", images=False).write()
    (path / "scores.tsv").write_text("case\tpatient\n")
    with pytest.raises(InputRefused, match="lacks method"):
        read_evaluation(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"x" * 200_000, "field larger than field limit"), (b"\xff", "'utf-8' codec can't decode")],  # csv reads 131,072
)
@pytest.mark.parametrize("at", ["heading", "row"])
def test_a_table_that_cannot_be_read_is_refused(evaluation, line, reason, at) -> None:
    path = evaluation("a", images=False).write()
    heading = (path / "scores.tsv").read_bytes().splitlines()[0]
    (path / "scores.tsv").write_bytes(line if at == "heading" else heading + b"\n" + line)
    with pytest.raises(InputRefused, match=f"EVALUATION_INVALID scores.tsv: {reason}"):
        read_evaluation(path)
