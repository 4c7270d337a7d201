"""The contrast-agent status by header: a wrong answer is worse than `unknown`."""

import pytest

from voxlate.archive.contrast_agent import AgentStatus, agent_status_of, state_of, text_evidence, with_timeline
from voxlate.simulation.files.header_variants import AFTER, BEFORE, CONTRADICTORY

YES = ["T1 with contrast", "T1 w contrast", "T1 +k", "T1 post gd", "pos contraste T1", "T1 3D inj", "Sag T1 C+"]
YES += [
    "T1 met contrast",
    "T1 na contrast",
    "T1 apres injection",
    "T1 après gado",
    "T1 dopo mdc",
    "T1 nach Kontrastmittel",
]
YES += [
    "AX T1 FLAIR GAD",
    "T1 VIBE FS TRA KM",
    "3D T1 CE",
    "T1_MPRAGE_POST",
    "T1 efter gd",
    "t1 med kontrast",
    "T1 com contraste",
]
YES += ["T1 CON CONTRASTE", "T1 gadovist", "POST FOSSA T1 +GD", "T1 post op with gado"]
YES += ["AX T1-GD", "t1_mprage-gd", "T1 SE-KM+", "T1 Gd-DTPA", "T1 KM-Gabe", "T1 mit-KM"]  # a hyphen is not a minus
NO = ["WO T1", "T1 w/o contrast", "T1 without gd", "T1 no contrast", "T1 non-contrast", "T1 unenhanced", "T1 native"]
NO += [
    "MPRAGE_ohne",
    "T1 vor KM",
    "T1 sans gado",
    "T1 avant injection",
    "t1 senza mdc",
    "T1 sin contraste",
    "T1 SIN CIV",
]
NO += [
    "t1 sem contraste",
    "T1 utan gd",
    "T1 ej gd",
    "T1 zonder contrast",
    "T1 geen contrast",
    "T1 pre contrast",
    "T1 plain",
]
NO += ["T1 -KM", "t1_tse_tra_-gd", "T1 KM-", "T1 Gd- tra", "T1 C-"]
BOTH = [
    "T1 C-/C+",
    "T1 avec et sans gado",
    "T1 mit und ohne KM",
    "con e senza mdc",
    "T1 W WO",
    "T1 PRE/POST",
    "T1 +/- C",
]
UNKNOWN = ["T1 POST FOSSA", "T1 POST OP", "PRESAT T1", "T1 NON FATSAT", "CSF flow", "AX T1 SE", "T2 FSE axial", ""]
UNKNOWN += ["T1-C", "T1-KM tra", "T1 FS - Gd", "MPRAGE - C", "C-SPINE T1", "T1 W C-SPINE"]  # hyphen or minus
UNKNOWN += ["fosse posterieure", "phase contrast", "Sag T1 MPRAGE"]


@pytest.mark.parametrize(
    ("state", "text"),
    [(state, text) for state, texts in zip(("yes", "no", "conflict", "unknown"), (YES, NO, BOTH, UNKNOWN), strict=True)
     for text in texts],
)  # fmt: skip
def test_a_description_has_its_state(state, text):
    assert state_of(text_evidence(text)) == state, text_evidence(text)


@pytest.mark.parametrize(("texts", "wrong"), [(BEFORE, "yes"), (AFTER, "no")])
def test_no_description_of_the_simulator_is_classified_wrongly(texts, wrong):
    assert wrong not in [state_of(text_evidence(text)) for text in texts]
    assert all(state_of(text_evidence(text)) == "conflict" for text in CONTRADICTORY)


@pytest.mark.parametrize(
    ("tags", "state"),
    [
        ({"ContrastBolusAgent": "GADOVIST"}, "yes"),
        ({"ContrastBolusAgent": "Kein"}, "no"),
        ({"ContrastBolusAgent": ""}, "unknown"),  # what de-identification leaves of any agent (PS3.15, table E.1-1)
        ({"ContrastBolusAgent": "", "SeriesDescription": "T1 +C"}, "yes"),
        ({"ContrastBolusIngredient": "NONE"}, "no"),
        ({"ContrastBolusVolume": "7.5"}, "yes"),
        ({"ContrastBolusVolume": "0"}, "unknown"),
        ({"ContrastBolusVolume": "x"}, "unknown"),
        ({"ContrastBolusAgent": "GADOVIST", "SeriesDescription": "T1 sans inj"}, "conflict"),
        ({"ContrastBolusAgent": "GADOVIST", "ProtocolName": "T1 nativ"}, "conflict"),
        ({}, "unknown"),
    ],
)
def test_tags_and_text_are_combined_and_contradictions_are_conflicts(tags, state):
    assert agent_status_of(tags).state == state


def test_evidence_holds_listed_words_and_never_the_whole_text():
    found = agent_status_of(
        {"SeriesDescription": "T1 DUPONT Marie 1950 sans gado", "ContrastBolusAgent": "GADOVIST M. Dupont"}
    )
    assert "dupont" not in str(found).casefold()
    assert found.state == "conflict"


def test_an_unknown_series_after_an_enhanced_one_may_be_enhanced():
    sure, silent, denied = (
        agent_status_of({"ContrastBolusAgent": "GD"}),
        AgentStatus("unknown", ()),
        agent_status_of({"ProtocolName": "T1 nativ"}),
    )
    told = with_timeline([silent, sure, silent, denied, silent], ["100000", "100500", "101000", "102000", ""])
    assert [each.may_be_enhanced for each in told] == [False, False, True, False, False]
    assert [each.state for each in told] == ["unknown", "yes", "unknown", "no", "unknown"]
    begun = with_timeline([silent, silent], ["100000", "101000"], ["", "100200"])
    assert [each.may_be_enhanced for each in begun] == [False, True]
