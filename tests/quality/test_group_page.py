"""The page of many graded scans."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voxlate.quality.group_page import (
    MOST_GROUPS,
    GradedScan,
    group_page,
    limits_of,
    strip_plot,
    verdict,
    write_group_page,
)
from voxlate.quality.items import Item
from voxlate.quality.rules import RULES


def scan(name: str, probability: float, *, site: str = "north", tier: str = "good", **changes) -> GradedScan:
    values = {"pass_probability": probability, "noise": 5.0}
    facts = {"state": "OK", "tier": tier, "passes": probability >= 0.5, "measures": values}
    return GradedScan(name, **{**facts, "groups": {"site": site, "grade": tier}, **changes})


SCANS = [
    *(scan(f"n{at}", 0.9) for at in range(3)),
    *(scan(f"s{at}", 0.2 + 0.01 * at, site="south", tier="low", codes=("GHOSTING",)) for at in range(3)),
    GradedScan("broken", "REFUSED:UNREADABLE"),
]


def test_the_sentence_names_how_many_pass_why_others_do_not_and_the_site_that_passes_least_often() -> None:
    text = verdict(SCANS)
    assert text.startswith("3 of 6 graded scans pass; most frequent findings in the others: GHOSTING 3.")
    assert "1 scan could not be graded." in text
    assert "Of the sites, south passes least often: 0 of 3." in text


def test_the_sentence_turns_where_the_scans_turn_and_names_no_site_when_all_are_alike() -> None:
    turned = [scan(one.name, 0.9 - 0.7 * one.passes, site=one.groups["site"]) for one in SCANS[:6]]
    assert "north passes least often: 0 of 3." in verdict(turned)
    assert "least often" not in verdict([scan(one.name, 0.9, site=one.groups["site"]) for one in SCANS[:6]])


def test_the_worst_scan_comes_first_and_one_without_a_grading_before_it() -> None:
    text = group_page(list(reversed(SCANS)))
    tiles = text[text.index('class="tiles') : text.index('id="numbers"')]
    assert re.findall(r"<h3><span>(\w+)</span>", tiles) == ["broken", "s0", "s1", "s2", "n0", "n1", "n2"]


def test_the_group_with_the_lowest_pass_probability_is_the_first_line_and_too_many_groups_are_counted() -> None:
    drawn = strip_plot(SCANS, "site")
    assert "Mean pass probability: south 0.21; north 0.90." in drawn
    many = [scan(str(at), at / 100, site=f"site{at}") for at in range(MOST_GROUPS + 5)]
    assert f"The {MOST_GROUPS} with the lowest mean pass probability of {MOST_GROUPS + 5}." in strip_plot(many, "site")


def test_scans_without_a_site_are_a_group_of_their_own() -> None:
    assert "not stated 0.40" in strip_plot([*SCANS, scan("lost", 0.4, groups={})], "site")


@pytest.mark.parametrize("code", ["NOISE", "GHOSTING", "BLURRED", "CONTRAST_LOW"])
def test_the_dashed_limits_are_those_of_the_rule(code: str) -> None:
    rule = next(rule for rule in RULES if rule.code == code)
    assert limits_of(code.lower()) == [rule.warn, rule.fail]


def test_a_scan_has_its_thumbnail_if_there_is_one(tmp_path: Path) -> None:
    heading = ["item", "state", "pass", "pass_probability", "tier", "noise", "failed", "warned"]
    lines = [
        ["a", "OK", "true", "0.9", "good", "4", "n/a", "BLURRED"],
        ["b", "OK", "false", "0.1", "low", "n/a", "NOISE", "n/a"],
    ]
    rows = [dict(zip(heading, line, strict=True)) for line in lines]
    picture = tmp_path / "items" / f"{Item('a', '', '').file_name}.png"
    picture.parent.mkdir()
    picture.write_bytes(b"")
    write_group_page(rows, tmp_path / "index.html", {"a": {"site": "north"}})
    text = (tmp_path / "index.html").read_text()
    assert re.findall(r'<img src="([^"]+)"', text) == [f"items/{picture.name}"]
    assert "site north" in text
    assert text.index(">b<") < text.index(">a<")
    assert ">nan<" not in text.lower()
