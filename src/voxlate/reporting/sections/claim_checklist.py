"""The CLAIM checklist (2024 update), filled as far as an evaluation allows; the authors fill the other items.

The items are in our own words and in the order of the publication: Tejani et al., Radiology: Artificial Intelligence
2024;6(4):e240300.
"""

from __future__ import annotations

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import RELATIVE, Evaluated
from voxlate.reporting.case_selection import View
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Html, tag
from voxlate.web.tables import Cell, Column, table

OPEN = "The authors fill this item."

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
    """Returns the answers that the evaluation gives, by item number (from 1).

    Args:
        evaluated: an evaluation folder.
        view: its protocol is named as the leading one.
    """
    evaluation = evaluated.evaluation
    patients = labels.count(evaluation.n_patients, "patient")
    cases = labels.count(len(evaluation.cases), "case")
    left_out = f"{len(evaluation.missing)} missing and {len(evaluation.refused)} refused, each listed with its reason"
    metrics = dict.fromkeys(metric_of(row.metric).label for row in evaluation.summary)
    compared = max((test.comparisons for test in evaluation.comparisons), default=0)
    reference = f"the acquired {evaluation.direction.target} of the same patient on the same grid"
    if evaluation.data_kind == "simulated":
        reference = f"the simulated {evaluation.direction.target}, which is known exactly"
    intensities = "Each image is divided by its reference level"
    if evaluation.unit != RELATIVE:
        intensities = f"Images are compared in {evaluation.unit}"
    filled = {
        9: f"{intensities}; the bundle of the model holds its own preprocessing.",
        12: f"No case is left out silently: {left_out}.",
        14: f"The target: {reference}.",
        23: f"voxlate {evaluation.voxlate_version}.",
        28: f"{', '.join(metrics)}, each defined under its table; the leading protocol is {view.protocol}.",
        35: f"{cases} of {patients} evaluated; {left_out}.",
        37: "Tables of image quality, by method, with standard deviation.",
        39: "Best, median and worst case, chosen by a rule; a table of all cases that marks losses to the source.",
    }
    if compared:
        tests = "Paired over patients: t, Wilcoxon and permutation tests, intervals"
        filled[29] = f"{tests}; p adjusted for {labels.count(compared, 'comparison')}."
    if evaluation.data_kind == "simulated":
        filled[7] = "Simulated images; no person was scanned."
        filled[11] = "Not applicable: simulated data."
        filled[13] = "Not applicable: simulated data; the files of the simulation hold its parameters."
    return filled


def checklist(evaluated: Evaluated, view: View) -> Html:
    """Returns the checklist as a table; see `answers` for the arguments."""
    filled = answers(evaluated, view)
    rows = [
        (at, section, title, filled[at] if at in filled else Cell(OPEN, class_="unfilled"))
        for at, (section, title) in enumerate(ITEMS, start=1)
    ]
    columns = [
        Column("Item", is_number=True),
        Column("Section"),
        Column("Item in our words", is_row_header=True),
        Column("Answer of this report"),
    ]
    remark = (
        f"This report fills {len(filled)} of {len(ITEMS)} items. The items are in voxlate's words; compare the "
        "numbering with the published checklist before submission."
    )
    return tag("div", table(columns, rows, label="CLAIM checklist", class_="small claim stack"), note(remark))
