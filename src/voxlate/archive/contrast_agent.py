"""Classifies a DICOM series by its header: whether a gadolinium contrast agent was given before it.

Evidence comes from the Contrast/Bolus module and from the words of SeriesDescription and ProtocolName, in English,
French, German, Italian, Spanish, Portuguese, Swedish and Dutch. Text is read in four steps: phrases that only resemble
contrast ("posterior fossa", "post op", "presat") are removed; then phrases that say both ("with and without") are
looked for; then negated phrases, which are removed with their words; then affirmed phrases in what remains. Without
evidence the status is `unknown`, so that an unrecognised word costs an answer and does not give a wrong one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["yes", "no", "unknown", "conflict"]

# Closed lists, never a stem with an open ending: matched text is kept as evidence, and Gadomski is a surname.
_BRANDS = (
    r"dotarem|gadovist|prohance|magnevist|omniscan|multihance|clariscan|primovist|vueway|elucirem|gadavist|dotagraf|"
    r"gadograf|artirem|cyclolux|optimark|eovist|ablavar|vasovist"
)
_GADOLINIUM = (
    r"gd|gad|gado|gadolin|gadolinium|gadolinio|gadolino|gadoliniumgabe|gadobutrol|gadoterate|gadoteric|gadoteridol|"
    r"gadopentetate|gadobenate|gadodiamide|gadoxetate|gadoxetic|gadopiclenol|gd dtpa"
)
_CONTRAST = (
    r"kontrast|kontrastmittel|kontrastmittelgabe|kontrastmedel|kontr|contrast|contraste|contrasto|contrastmiddel|"
    r"contraststof|mdc|pdc|pc|mezzo di contrasto|medio de contraste|produit de contraste|civ"
)
_INJECTED = r"inj|inject|injected|injection|injecte|injectee|injekt|injektion|injiziert|iniezione|inyeccion|injecao"
_AGENTS = rf"(?:{_BRANDS}|{_GADOLINIUM}|mdc|km)"
_GIVEN = rf"(?:{_BRANDS}|{_GADOLINIUM}|km|{_CONTRAST}|{_INJECTED}|c|k|iv)"
_WITHOUT = (
    r"(?:without|w o|wo|no|non|sans|ohne|senza|sin|utan|ej|sem|zonder|geen|vor|before|avant|prima|antes|fore|pre)"
)
_WITH = r"(?:with|w|avec|mit|con|med|com|met|post|pos|nach|after|apres|dopo|despues|efter|apos|na)"
_NOT_AFTER_WITH = "".join(rf"(?<!\b{word})" for word in _WITH.removeprefix("(?:").removesuffix(")").split("|"))

MISLEADING = (
    r"post(?:erior)?\W*fossa",
    r"fosse?\W*post\w*",
    r"fossa\W*post\w*",
    r"post\W*op\w*",
    r"pre\W*op\w*",
    r"pre\W*sat\w*",
    r"non?\W*(?:fat\W*sat|fs)\w*",
    r"\bcsf\b",
    r"post\W*proc\w*",
    r"phase\W*contrast",
    r"contrast\W*ratio",
    r"\bc\W*spine\b",
    # a hyphen or a minus: "T1-KM", "T1 FS - Gd"; in "mit-KM" it is a hyphen
    rf"(?<=\w){_NOT_AFTER_WITH}-(?:c|k|km)\b(?!\s*\+)",
    r"(?<=\w)\s+-\s+(?:gd|c|k|km)\b(?!\s*\+)",
)
"""Phrases that resemble contrast and say nothing of it."""

BOTH = (
    rf"\b{_WITH}\W*(?:and|et|und|e|y|och|en|ou|oder|or|o)?\W*{_WITHOUT}\b",
    rf"\b{_WITHOUT}\W*(?:and|et|und|e|y|och|en|ou|oder|or|o)\W*{_WITH}\b",
    r"\bpre\W*(?:and|et|und|e|y)?\W*post\b",
    r"\+\s*/\s*-",
)
NEGATED = (
    rf"\b{_WITHOUT}\W*{_GIVEN}\b",
    r"\bnon\W*(?:contrast|contraste|contrasted)\b",
    r"\b(?:un|non)\W*enhanced\b",
    r"\b(?:nativ|native|nativa|nativo|nativt|natief)\b",
    r"\bplain\b",
    r"\bblanco\b",
    r"\bpre\b",
    r"\b(?:wo|w o|ohne|sans|utan|senza|sin)\b",
    r"(?<![\w+])-\s*(?:gd|c|k|km)\b(?!\s*\+)",
    r"\b(?:gd|c|k|km)-(?!\w)",
)
AFFIRMED = (
    rf"\b{_WITH}\W*{_GIVEN}\b",
    rf"\+\s*{_GIVEN}\b",
    r"\b[ck]\s*\+",
    rf"\b{_AGENTS}\b",
    rf"\b(?:ce|enhanced|{_INJECTED})\b",
    r"\bpost\b",
)

# What technologists write into ContrastBolusAgent when no agent was given, in the eight languages.
_NO_AGENT = {"NONE", "NO", "N", "NO CONTRAST", "NO_CONTRAST", "WITHOUT", "0", "NIL", "N/A", "NON", "SANS", "AUCUN"}
_NO_AGENT |= {"OHNE", "KEIN", "KEINE", "NEIN", "NESSUNO", "SENZA", "NADA", "SIN", "SEM", "NAO", "INGET", "INGEN"}
_NO_AGENT |= {"NEJ", "UTAN", "GEEN", "NEE", "ZONDER"}


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence for or against a contrast agent.

    Attributes:
        source: keyword of the DICOM element.
        says: `yes`, `no` or `both`.
        words: the matched words, all of them from the lists above; never the whole text, which may name a person.
    """

    source: str
    says: Literal["yes", "no", "both"]
    words: str


@dataclass(frozen=True)
class AgentStatus:
    """Contrast-agent status of a series.

    Attributes:
        state: `conflict` when there is evidence for both answers.
        evidence: all evidence.
        may_be_enhanced: the state is `unknown`, and an agent was given earlier in the study.
    """

    state: State
    evidence: tuple[Evidence, ...]
    may_be_enhanced: bool = False

    @property
    def evidence_text(self) -> str:
        """Returns the evidence as one line of text, for a table."""
        return "; ".join(f"{each.source}: {each.says} ({each.words})" for each in self.evidence)


def agent_status_of(header: Mapping[str, str]) -> AgentStatus:
    """Returns the contrast-agent status that the tags and texts of a series give.

    Args:
        header: elements as text by keyword; the Contrast/Bolus module, SeriesDescription and ProtocolName are read.

    Example:
        >>> agent_status_of({"SeriesDescription": "T1 MPRAGE +C"}).state
        'yes'
    """
    evidence = _tag_evidence(header)
    for keyword in ("SeriesDescription", "ProtocolName"):
        evidence += text_evidence(header.get(keyword, ""), keyword)
    return AgentStatus(state_of(evidence), tuple(evidence))


def state_of(evidence: Sequence[Evidence]) -> State:
    """Returns the state that all evidence gives together."""
    answers = {each.says for each in evidence}
    if "both" in answers or {"yes", "no"} <= answers:
        return "conflict"
    return "yes" if "yes" in answers else "no" if "no" in answers else "unknown"


def text_evidence(text: str, source: str = "SeriesDescription") -> list[Evidence]:
    """Returns the evidence in a text, none when the text does not mention an agent.

    Args:
        text: a description.
        source: keyword of the element that holds it.

    Example:
        >>> [evidence.words for evidence in text_evidence("T1 post fossa sans gado")]
        ['sans gado']
    """
    rest = plain(text)
    for pattern in MISLEADING:
        rest = re.sub(pattern, " ", rest)
    for pattern in BOTH:
        if match := re.search(pattern, rest):
            return [Evidence(source, "both", match[0].strip())]
    evidence = []
    for pattern in NEGATED:
        evidence += [Evidence(source, "no", match[0].strip()) for match in re.finditer(pattern, rest)]
        rest = re.sub(pattern, " ", rest)  # "gado" in "sans gado" must not be found again as affirmed
    for pattern in AFFIRMED:
        if match := re.search(pattern, rest):
            evidence.append(Evidence(source, "yes", match[0].strip()))
            break
    return evidence


def plain(text: str) -> str:
    """Returns text in small letters without accents, words separated by blanks; + - / are kept.

    Example:
        >>> plain("T1_Après-Injection")
        't1 apres-injection'
    """
    bare = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return re.sub(r"[_.,;:()\[\]=*]+", " ", bare).replace("w/o", "wo")


def with_timeline(
    statuses: Sequence[AgentStatus], times: Sequence[str], starts: Sequence[str] = ()
) -> list[AgentStatus]:
    """Returns the statuses of the series of one study, with `may_be_enhanced` set from their order in time.

    Args:
        statuses: one for each series.
        times: AcquisitionTime of each series as DICOM writes it, or other text that sorts by time; empty when unknown.
        starts: ContrastBolusStartTime of each series in the same form, empty when unknown.
    """
    enhanced = [time for status, time in zip(statuses, times, strict=True) if status.state == "yes" and time]
    first = min([*enhanced, *(start for start in starts if start)], default="")
    return [
        AgentStatus(status.state, status.evidence, bool(first and time and time > first and status.state == "unknown"))
        for status, time in zip(statuses, times, strict=True)
    ]


def _tag_evidence(header: Mapping[str, str]) -> list[Evidence]:
    """Returns the evidence of the Contrast/Bolus module; an absent, empty or unreadable element gives none.

    An empty agent is not evidence of "no": de-identification empties the element (DICOM PS3.15, table E.1-1).
    """
    evidence = []
    if agent := header.get("ContrastBolusAgent", "").strip().upper():
        is_none = agent in _NO_AGENT
        evidence.append(Evidence("ContrastBolusAgent", "no" if is_none else "yes", "none" if is_none else "an agent"))
    ingredient = header.get("ContrastBolusIngredient", "").strip().upper()
    if ingredient in ("GADOLINIUM", "NONE"):
        is_none = ingredient == "NONE"
        evidence.append(Evidence("ContrastBolusIngredient", "no" if is_none else "yes", ingredient.lower()))
    for keyword in ("ContrastBolusVolume", "ContrastBolusTotalDose"):
        try:
            amount = float(header.get(keyword) or 0)
        except ValueError:
            amount = 0.0
        if amount > 0:  # 0 may be a default, so that it is not evidence of "no"
            evidence.append(Evidence(keyword, "yes", f"{amount:g}"))
    return evidence
