"""The chart says the numbers that it is given, and how many are left after each step."""

import re

from voxlate.cohort.select import FlowStep
from voxlate.reporting.figures.flow_chart import draw_flow

BOXES = [
    FlowStep("nobody", "scan", 1000, 0),
    FlowStep("too few slices", "scan", 1000, 300),
    FlowStep("no partner", "scan", 700, 500),
    FlowStep("large lesions", "pair", 100, 1),
]


def texts(path):
    return re.findall(r"<text[^>]*>([^<]+)</text>", path.read_text())


def test_every_step_that_drops_something_is_drawn_with_the_remaining_count(tmp_path):
    draw_flow(tmp_path / "flow.svg", 1000, BOXES, {"train": 98, "Test_good": 1})
    found = texts(tmp_path / "flow.svg")
    for text in ("1,000 series in the index", "too few slices", "300 series", "700 series", "no partner", "500 series",
                 "100 pairs (200 series)", "large lesions", "1 pair", "99 pairs", "train", "98 pairs"):  # fmt: skip
        assert text in found, text
    assert "nobody" not in found


def test_a_pair_may_have_more_than_two_series(tmp_path):
    draw_flow(tmp_path / "flow.svg", 9, [FlowStep("no partner", "scan", 9, 1)], {"train": 2})
    assert "2 pairs (8 series)" in texts(tmp_path / "flow.svg")


def test_single_scans_are_counted_as_scans_and_with_their_series_where_there_are_more(tmp_path):
    steps = [FlowStep("no source", "scan", 9, 4), FlowStep("no T2w", "single", 3, 1)]
    draw_flow(tmp_path / "flow.svg", 9, steps, {"good": 1, "low": 1}, unit="single")
    found = texts(tmp_path / "flow.svg")
    for text in ("3 scans (5 series)", "1 scan", "2 scans", "good"):
        assert text in found, text
    draw_flow(tmp_path / "flow.svg", 9, steps[:1], {"good": 5}, unit="single")
    assert "5 scans" in texts(tmp_path / "flow.svg")
    unused = FlowStep("no source", "scan", 5, 0)
    draw_flow(tmp_path / "flow.svg", 9, [FlowStep("no agent", "scan", 9, 4), unused], {"good": 5}, unit="single")
    found = texts(tmp_path / "flow.svg")
    assert found == ["9 series in the index", "no agent", "4 series", "5 scans", "good", "5 scans"]
    assert not any("pair" in text for text in texts(tmp_path / "flow.svg"))


def test_the_same_counts_give_the_same_bytes(tmp_path):
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        draw_flow(tmp_path / name, 1000, BOXES, {"train": 99})
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
