"""Tables: alignment, row headings, groups and the order in which a script sorts."""

import math

import pytest

from voxlate.web.tables import Cell, Column, Group, facts_table, number_cell, table

COLUMNS = (Column("Case", is_row_header=True), Column("MAE", is_number=True, class_="ours"))


def test_heading_and_cells_of_a_column_share_their_classes():
    text = table(COLUMNS, [("a", "1.0")], label="Scores")
    assert '<th scope="col" class="num ours">MAE</th>' in text
    assert '<td class="num ours">1.0</td>' in text
    assert '<th scope="row">a</th>' in text


def test_a_table_scrolls_can_be_reached_by_keyboard_and_has_a_name():
    text = table(COLUMNS, [], label="Scores")
    assert text.startswith('<div class="scroll" role="region" aria-label="Scores" tabindex="0"><table>')
    assert "<tbody></tbody>" in text


def test_each_group_has_a_body_and_a_heading_over_all_columns():
    groups = [Group("mask", [("a", "1")]), Group("lesion", [("b", "2")])]
    text = table(COLUMNS, groups, label="Scores")
    assert text.count("<tbody>") == 2
    assert '<tr class="group"><th scope="rowgroup" colspan="2">mask</th></tr>' in text


def test_a_row_with_too_few_cells_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        table(COLUMNS, [("a",)], label="Scores")


def test_a_number_is_sorted_by_its_value_and_one_that_is_not_finite_by_none():
    assert number_cell(1234.5, "1,234").sort_value == "1234.5"
    assert number_cell(math.nan, "—").sort_value is None
    assert number_cell(None, "—").sort_value is None
    assert 'data-value="1234.5"' in table(COLUMNS, [("a", number_cell(1234.5, "1,234"))], label="x")


def test_text_of_cells_columns_and_facts_is_escaped():
    evil = "<b>&\"'"
    columns = (Column(evil, is_row_header=True), Column("x"))
    text = table(columns, [(Cell(evil, class_=evil, hint=evil), evil)], label=evil, spans=[(evil, 1), (None, 1)])
    assert "<b>" not in text + facts_table([(evil, evil)])
    assert text.count("&lt;b&gt;") == 7


def test_cells_that_may_lie_below_each_other_carry_the_heading_of_their_column() -> None:
    columns = [Column("Case", is_row_header=True), Column("MAE", is_number=True)]
    assert '<td class="num" data-label="MAE">3</td>' in table(columns, [("a", 3)], label="t", class_="small stack")
    assert "data-label" not in table(columns, [("a", 3)], label="t", class_="small")
