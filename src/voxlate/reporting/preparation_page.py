"""The page of a prepared cohort: a table whose worst cases come first, each with its picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from voxlate import __version__
from voxlate.io.atomic import write_text
from voxlate.jobs.states import DONE
from voxlate.preparation.run import PICTURE
from voxlate.reporting import labels
from voxlate.web.document import document, script
from voxlate.web.html import Html, tag

INDEX = "index.html"

COLUMNS = (
    ("Worst first", "num"),
    ("Case", ""),
    ("Verdict", ""),
    ("Edges", "num"),
    ("NMI", "num"),
    ("Moved, mm", "num"),
    ("Brain, cm³", "num"),
    ("Why", ""),
    ("Source · as it came · registered · template", ""),
)
_ORDER = {"refused": 0, "failed": 0, "bad": 1, "doubtful": 2, "good": 3}


def write_page(records: Sequence[dict[str, Any]], out: Path) -> None:
    """Writes `out/index.html` from the records of `voxlate.preparation.run`."""
    ordered = sorted(records, key=_badness)
    counts = {state: sum(record["state"] == state for record in records) for state in (DONE, "refused", "failed")}
    facts = [labels.count(len(records), "case"), *(f"{n} {state}" for state, n in counts.items() if n)]
    doubtful = sum(bool(record.get("doubts")) for record in records)
    facts += [f"{doubtful} to look at", f"voxlate {__version__}"]
    body = tag(
        "body",
        tag(
            "header",
            tag("h1", "Prepared pairs"),
            tag("ul", [tag("li", fact) for fact in facts], class_="facts"),
            tag("p", LEGEND, class_="lead"),
        ),
        tag("main", tag("section", tag("div", _table(ordered), class_="scroll", tabindex="0"))),
        script(),
        class_="wide",
    )
    write_text(out / INDEX, document("Prepared pairs · voxlate", body, images="'self'"))


LEGEND = (
    "Each picture shows the source, the target where its header puts it, the target registered, and the template. "
    "Green: the brain found on the source. Where it does not follow the brain of the registered target, the "
    "registration is wrong. Orange: the brain of the template, brought to the source; it only shows whether position "
    "and orientation are plausible. Click a heading to sort."
)


def _badness(record: dict[str, Any]) -> tuple[int, float, str]:
    """Returns what sorts records: refused, then doubtful, then by edge agreement, the lowest first."""
    return _ORDER[_verdict(record)], _edges(record), record["case"]


def _verdict(record: dict[str, Any]) -> str:
    if record["state"] != DONE:
        return str(record["state"])
    verdicts = [record["registration"]["score"]["verdict"], record["mask"]["verdict"]]
    verdicts += ["doubtful"] * bool(record["doubts"])
    return str(min(verdicts, key=lambda verdict: _ORDER[verdict]))


def _edges(record: dict[str, Any]) -> float:
    return float(record["registration"]["score"]["edge_agreement"]) if record["state"] == DONE else math.inf


def _table(records: Sequence[dict[str, Any]]) -> Html:
    heads = [tag("th", title, scope="col", class_=kind or None) for title, kind in COLUMNS]
    rows = [_row(rank, record) for rank, record in enumerate(records, start=1)]
    return tag("table", tag("thead", tag("tr", heads)), tag("tbody", rows), class_="prepared sortable")


def _row(rank: int, record: dict[str, Any]) -> Html:
    name, verdict = record["case"], _verdict(record)
    numbers: list[Html] = []
    if record["state"] == DONE:
        score = record["registration"]["score"]
        values = (score["edge_agreement"], 2), (score["nmi"], 3), (record["registration"]["moved_mm"], 1)
        numbers = [_number(value, decimals) for value, decimals in (*values, (record["mask"]["volume_cm3"], 0))]
        why = "; ".join(record["doubts"])
        shown = f"{quote(name)}/{PICTURE}"
        link: Html | str = tag("a", tag("img", src=shown, alt=f"Steps of {name}", loading="lazy"), href=shown)
    else:
        numbers = [tag("td", labels.MISSING, class_="num") for _ in range(4)]
        why, link = f"{record['code']}: {labels.without_paths(record['message'])}", ""
    return tag(
        "tr",
        tag("td", rank, class_="num"),
        tag("th", name, scope="row"),
        tag("td", tag("span", verdict, class_=f"grade {verdict}"), data_value=str(_ORDER[verdict])),
        numbers,
        tag("td", why),
        tag("td", link),
    )


def _number(value: float, decimals: int) -> Html:
    return tag("td", labels.number(value, decimals), class_="num", data_value=f"{value:.9g}")
