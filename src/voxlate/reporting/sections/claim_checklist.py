"""The CLAIM checklist (2024 update) with what an evaluation can fill; the rest is left to the authors.

The items are named in our own words, in the order of the publication: Tejani et al., Radiology: Artificial
Intelligence 2024;6(4):e240300.
"""

from __future__ import annotations

from voxlate.evaluation.results import Evaluated
from voxlate.reporting import labels
from voxlate.reporting.case_selection import View
from voxlate.reporting.sections.quality import scrolling
from voxlate.web.html import Html, tag

OPEN = "To be filled by the authors."

ITEMS = (
    ("Title and abstract", "The title names the kind of artificial intelligence"),
    ("Title and abstract", "Structured abstract: design, methods, results, conclusions"),
    ("Introduction", "Background, intended use and role of the method"),
    ("Introduction", "Aims, objectives and hypotheses"),
    ("Study design", "Prospective or retrospective"),
    ("Study design", "Goal of the study"),
    ("Data", "Where the data come from"),
    ("Data", "Who was included and who was not"),
    ("Data", "Preparation of the images"),
    ("Data", "How parts of the data were selected"),
    ("Data", "How the data were de-identified"),
    ("Data", "How missing data were handled"),
    ("Data", "How the images were acquired"),
    ("Reference standard", "How the reference standard was obtained"),
    ("Reference standard", "Why this reference standard"),
    ("Reference standard", "Who annotated it, and their training"),
    ("Reference standard", "How the test set was annotated"),
    ("Reference standard", "Variability between and within readers"),
    ("Data partitions", "How cases were assigned to partitions"),
    ("Data partitions", "At which level partitions are disjoint"),
    ("Testing data", "Intended size of the test set and how it was set"),
    ("Model", "Detailed description of the model"),
    ("Model", "Software, libraries and versions"),
    ("Model", "How parameters were initialised"),
    ("Training", "How the model was trained"),
    ("Training", "How the final model was chosen"),
    ("Training", "Ensembles, if any"),
    ("Evaluation", "Metrics of performance"),
    ("Evaluation", "Measures of significance and uncertainty"),
    ("Evaluation", "Robustness or sensitivity analysis"),
    ("Evaluation", "Explanation or interpretation"),
    ("Evaluation", "Evaluation on internal data"),
    ("Evaluation", "Evaluation on external data"),
    ("Evaluation", "Registration of a clinical trial"),
    ("Results: data", "Numbers of patients and examinations included and excluded"),
    ("Results: data", "Demographic and clinical characteristics by partition"),
    ("Results: performance", "Performance with its uncertainty"),
    ("Results: performance", "Diagnostic performance with its precision"),
    ("Results: performance", "Analysis of failures"),
    ("Discussion", "Limitations"),
    ("Discussion", "Meaning for practice"),
    ("Other", "Full protocol or further technical details"),
    ("Other", "Availability of software, model and data"),
    ("Other", "Funding and the role of funders"),
)


def answers(evaluated: Evaluated, view: View) -> dict[int, str]:
    """Returns item number to what the evaluation says about it."""
    evaluation = evaluated.evaluation
    patients = labels.count(len({case.patient for case in evaluation.cases}), "patient")
    cases = labels.count(len(evaluation.cases), "case")
    left_out = f"{len(evaluation.missing)} missing and {len(evaluation.refused)} refused, each listed with its reason"
    metrics = dict.fromkeys(labels.metric(row.metric).label for row in evaluation.summary)
    compared = max((test.comparisons for test in evaluation.comparisons), default=0)
    direction = f"the acquired {evaluation.direction.target} of the same patient on the same grid"
    if evaluation.data_kind == "simulated":
        direction = f"the simulated {evaluation.direction.target}, whose truth is known"
    found = {
        9: "Each image is divided by its reference level; the model's own preparation is in its bundle.",
        12: f"Cases are never dropped silently: {left_out}.",
        14: f"The target: {direction}.",
        23: f"voxlate {evaluation.voxlate_version}.",
        28: f"{', '.join(metrics)}, each defined under its table (protocol {view.protocol} leads).",
        35: f"{cases} of {patients} evaluated; {left_out}.",
        37: "Tables of image quality, by method, with standard deviation.",
        39: "Best, median and worst case by rule; every case in the case table, losses marked.",
    }
    if compared:
        tests = "Paired over patients: t, Wilcoxon and permutation tests, intervals"
        found[29] = f"{tests}; p adjusted for {labels.count(compared, 'comparison')}."
    if evaluation.data_kind == "simulated":
        found[7] = "Simulated images; no person was scanned."
        found[11] = "Not applicable: simulated data."
        found[13] = "Not applicable: simulated data; the simulation's parameters stand in its own files."
    return found


def table(evaluated: Evaluated, view: View) -> Html:
    """Returns the checklist as a table."""
    filled = answers(evaluated, view)
    lines = []
    for at, (section, title) in enumerate(ITEMS, start=1):
        answer = tag("td", filled[at]) if at in filled else tag("td", OPEN, class_="unfilled")
        lines.append(tag("tr", tag("td", at, class_="num"), tag("td", section), tag("th", title, scope="row"), answer))
    head = [tag("th", title, scope="col") for title in ("Item", "Section", "What is asked", "What this report says")]
    content = tag("table", tag("thead", tag("tr", head)), tag("tbody", lines), class_="small claim stack")
    note = (
        f"{len(filled)} of {len(ITEMS)} items are filled from the data. Items in voxlate's words; check the numbering "
        "against the published checklist before submission."
    )
    return tag("div", scrolling(content, label="CLAIM checklist"), tag("p", note, class_="note"))
