"""The page of many graded scans: how groups of scans differ, and the worst scans with their pictures.

Groups are sites and scanners of the index, and the quality tiers. A group whose dots lie apart from the others has its
own problem, such as a coil with ghosts, that no single scan shows.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from voxlate.io.atomic import write_text
from voxlate.quality.grade import PASSES
from voxlate.quality.items import Item
from voxlate.quality.rules import RULES
from voxlate.version import __version__
from voxlate.web import labels, plotting
from voxlate.web.document import Section, document, header, note
from voxlate.web.html import Html, tag
from voxlate.web.tables import Column, number_cell, table

MEASURES = {
    "pass_probability": "Pass probability",
    "noise": "Noise",
    "ghosting": "Ghosting",
    "blurred": "Sharpness",
    "contrast_low": "Contrast",
}
"""Columns of `grades.tsv` that are plotted, with their names on the page."""

MOST_TILES, MOST_GROUPS = 200, 12
"""Pictures of scans, and lines of a plot. Chosen by hand: some twenty screens, and half a screen."""

_DOTS = {"good": ("#3a8a4f", "o"), "medium": ("#b7791f", "s"), "low": ("#ce3e1c", "^"), "": ("#54616f", "D")}
"""Colour and shape of the dots by grade; the last one of any other grade."""

_UNKNOWN = "not stated"
_LEGEND = (
    "Six panels show each scan: axial, coronal and sagittal slices; then two more axial slices, and the first axial "
    "slice eight times as bright, which shows noise and ghosts in the air around the head."
)


@dataclass(frozen=True)
class GradedScan:
    """One line of `grades.tsv`.

    Attributes:
        name: of the item.
        state: `OK`, `REFUSED:CODE` or `FAILED:CODE`.
        tier, kind: of the scan; empty without a grading.
        passes: whether the scan passes.
        codes: rules that failed, then those that warned.
        measures: values of `MEASURES`; those that were not measured are absent.
        groups: name of the group by factor, such as `site` and `scanner`.
        picture: address of its picture relative to the page; empty without one.
    """

    name: str
    state: str
    tier: str = ""
    kind: str = ""
    passes: bool = False
    codes: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    picture: str = ""


def write_group_page(rows: Sequence[Mapping[str, str]], page: Path, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Writes the page of a table of grades.

    Args:
        rows: of `grades.tsv`.
        page: the HTML file, in the folder of the table, which has the pictures in its folder `items`.
        groups: groups by factor, of each item that has any.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    scans = [scan_of(row, page.parent, groups.get(row["item"], {})) for row in rows]
    write_text(page, group_page(scans))


def scan_of(row: Mapping[str, str], folder: Path, groups: Mapping[str, str]) -> GradedScan:
    """Returns the scan of a line of the table.

    Args:
        row: the line.
        folder: of the table.
        groups: its groups beside the tier.
    """
    known = {key: value for key, value in row.items() if value not in {"", "n/a", None}}
    tier, name = known.get("tier", ""), row["item"]
    picture = f"items/{Item(name, '', '').file_name}.png"
    codes = [code for key in ("failed", "warned") for code in known.get(key, "").split(",") if code]
    return GradedScan(
        name=name,
        state=known.get("state", ""),
        tier=tier,
        kind=known.get("kind", ""),
        passes=known.get("pass") == "true",
        codes=tuple(codes),
        measures={key: float(known[key]) for key in MEASURES if key in known},
        groups={**groups, **({"grade": tier} if tier else {})},
        picture=picture if (folder / picture).is_file() else "",
    )


def group_page(scans: Sequence[GradedScan]) -> str:
    """Returns the page as HTML text.

    Args:
        scans: in any order.
    """
    ordered = sorted(scans, key=badness)
    facts = [labels.count(len(scans), "scan"), f"{sum(scan.passes for scan in scans)} pass", f"voxlate {__version__}"]
    top = header("Quality of the scans", facts, tag("p", verdict(scans), class_="lead"), is_synthetic=False)
    factors = [factor for factor in ("site", "scanner", "grade") if any(factor in scan.groups for scan in scans)]
    sections = [
        Section(
            "groups",
            "Groups",
            [tag("div", [strip_plot(scans, one) for one in factors]), _limits()] if factors else None,
        ),
        Section("scans", "Scans, worst first", _tiles(ordered)),
        Section("numbers", "All numbers", _table(ordered), "one row per scan, sorted by a click on a heading"),
    ]
    return document("Quality of the scans · voxlate", top, sections, images="'self'", is_wide=True)


def badness(scan: GradedScan) -> tuple[int, float, str]:
    """Returns the key of the page's order: scans without a grading, scans that do not pass, then by probability."""
    rank = 0 if scan.state != "OK" else 2 if scan.passes else 1
    return rank, scan.measures.get("pass_probability", -1.0), scan.name


def verdict(scans: Sequence[GradedScan]) -> str:
    """Returns how many scans pass, why others do not, and which group passes least often.

    Args:
        scans: in any order.
    """
    graded = [scan for scan in scans if scan.state == "OK"]
    passing = sum(scan.passes for scan in graded)
    text = f"{passing} of {labels.count(len(graded), 'graded scan')} pass"
    reasons = Counter(code for scan in graded if not scan.passes for code in scan.codes)
    if reasons:
        listed = ", ".join(f"{code} {count}" for code, count in reasons.most_common(3))
        text += f"; most frequent findings in the others: {listed}"
    rest = len(scans) - len(graded)
    text += f". {labels.count(rest, 'scan')} could not be graded." if rest else "."
    return text + "".join(_least_passing(graded, factor) for factor in ("site", "scanner"))


def _least_passing(graded: Sequence[GradedScan], factor: str) -> str:
    """Returns the sentence of the group of at least three scans that passes least often; empty unless groups differ."""
    found: dict[str, list[bool]] = defaultdict(list)
    for scan in graded:
        if factor in scan.groups:
            found[scan.groups[factor]].append(scan.passes)
    shares = {name: float(np.mean(own)) for name, own in found.items() if len(own) >= _FEWEST}
    if len(shares) < 2 or max(shares.values()) == min(shares.values()):
        return ""
    name = min(shares, key=lambda one: (shares[one], one))
    return f" Of the {factor}s, {name} passes least often: {sum(found[name])} of {len(found[name])}."


_FEWEST = 3
"""Fewest scans of a group that is compared. Chosen by hand: one scan of two says nothing of its scanner."""


def strip_plot(scans: Sequence[GradedScan], factor: str) -> Html:
    """Returns the measures of every scan, one line per group, the group that passes least often at the top.

    Args:
        scans: in any order; those without the factor are a group of their own.
        factor: `site`, `scanner` or `grade`.
    """
    groups: dict[str, list[GradedScan]] = defaultdict(list)
    for scan in scans:
        if scan.state == "OK":
            groups[scan.groups.get(factor, _UNKNOWN)].append(scan)
    names = sorted(groups, key=lambda name: (_mean(groups[name], "pass_probability"), name))[:MOST_GROUPS]
    figure, plots = plotting.plots(len(MEASURES), width_in=2.35, height_in=0.8 + 0.3 * len(names))
    for axes, measure in zip(plots, MEASURES, strict=True):
        for at, name in enumerate(reversed(names)):
            _draw_line(axes, at, groups[name], measure)
        _draw_limits(axes, measure)
        axes.set_yticks(range(len(names)), [""] * len(names))
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(MEASURES[measure], loc="left", fontsize=9)
        axes.tick_params(axis="y", length=0)
    plots[0].set_yticks(range(len(names)), [f"{name} ({len(groups[name])})" for name in reversed(names)])
    told = "; ".join(f"{name} {labels.number(_mean(groups[name], 'pass_probability'), 2)}" for name in names)
    alt = f"Measures of quality by {factor}. Mean pass probability: {told}."
    is_cut = len(groups) > MOST_GROUPS
    more = f" The {MOST_GROUPS} with the lowest mean pass probability of {len(groups)}." if is_cut else ""
    caption = (
        "One dot per scan: green circles are good, amber squares medium, red triangles low, grey diamonds others. "
        f"Strokes: means. In brackets: the number of scans.{more}"
    )
    svg = plotting.inline_svg(figure, name=f"by-{factor}", alt=alt)
    title = f"By {factor}"
    drawing = plotting.framed(svg, caption=caption, kind="plot long")
    box = tag("div", drawing, class_="scroll", role="region", aria_label=title, tabindex=0)
    return tag("div", tag("h3", title), box, class_="block")


def _mean(scans: Sequence[GradedScan], measure: str) -> float:
    values = [scan.measures[measure] for scan in scans if measure in scan.measures]
    return float(np.mean(values)) if values else math.nan


def _draw_line(axes: Axes, at: int, scans: Sequence[GradedScan], measure: str) -> None:
    shown = [scan for scan in scans if measure in scan.measures]
    spread = np.random.default_rng(at).uniform(-0.2, 0.2, len(shown))
    for tier, (colour, marker) in _DOTS.items():
        own = [k for k, scan in enumerate(shown) if (scan.tier if scan.tier in _DOTS else "") == tier]
        values = [shown[k].measures[measure] for k in own]
        axes.scatter(values, at + spread[own], s=14, color=colour, marker=marker, alpha=0.75, linewidths=0)
    if shown:
        mean = _mean(shown, measure)
        axes.plot([mean, mean], [at - 0.32, at + 0.32], color=plotting.INK, linewidth=1.4)


def _draw_limits(axes: Axes, measure: str) -> None:
    """Draws the limits of the rule of a measure where they lie among the values."""
    low, high = axes.get_xlim()
    for limit in limits_of(measure):
        if low <= limit <= high:
            axes.axvline(limit, color=plotting.MUTED, linewidth=0.9, linestyle="--")


def limits_of(measure: str) -> list[float]:
    """Returns the limits at which a measure warns and fails; for the pass probability the least one that passes."""
    if measure == "pass_probability":
        return [PASSES]
    return [
        limit
        for rule in RULES
        if rule.code.lower() == measure
        for limit in (rule.warn, rule.fail)
        if math.isfinite(limit)
    ]


def _limits() -> Html:
    words = "; ".join(f"{MEASURES[rule.code.lower()]}: {rule.words}" for rule in RULES if rule.code.lower() in MEASURES)
    return note(f"Dashed: limits at which a rule warns or fails, where they lie among the values. {words}.")


def _tiles(ordered: Sequence[GradedScan]) -> Html:
    left_out = len(ordered) - MOST_TILES
    more = f" The first {MOST_TILES} are shown; {left_out:,} more are in the table." if left_out > 0 else ""
    return tag(
        "div",
        note(f"{_LEGEND}{more}"),
        tag("div", [_tile(scan) for scan in ordered[:MOST_TILES]], class_="tiles thumbnails"),
    )


def _tile(scan: GradedScan) -> Html:
    state = "pass" if scan.passes else "no pass" if scan.state == "OK" else scan.state
    chip = tag("span", state, class_=f"grade {'good' if scan.passes else 'bad'}")
    facts = [scan.tier, scan.kind, *(f"{factor} {name}" for factor, name in scan.groups.items() if factor != "grade")]
    picture = None
    if scan.picture:
        image = tag("img", src=scan.picture, alt=f"Slices of {scan.name}", loading="lazy")
        picture = tag("a", image, href=scan.picture)
    caption = tag(
        "figcaption",
        tag("h3", tag("span", scan.name), chip),
        tag("p", ", ".join(scan.codes), class_="why") if scan.codes else None,
        tag("p", " · ".join(fact for fact in facts if fact)),
    )
    return tag("figure", picture, caption, class_="tile" if picture else "tile alone")


def _table(ordered: Sequence[GradedScan]) -> Html:
    columns = [
        Column("Scan", is_row_header=True),
        Column("State"),
        Column("Passes"),
        Column("Grade"),
        Column("Kind of series"),
    ]
    columns += [Column(title, is_number=True) for title in MEASURES.values()]
    columns.append(Column("Findings"))
    rows = [
        [
            scan.name,
            scan.state,
            "yes" if scan.passes else "no",
            scan.tier,
            scan.kind,
            *(number_cell(scan.measures.get(key), labels.number(scan.measures.get(key))) for key in MEASURES),
            ", ".join(scan.codes),
        ]
        for scan in ordered
    ]
    return table(columns, rows, label="Measures of the scans", class_="small sortable")
