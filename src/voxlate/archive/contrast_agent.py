"""Was a gadolinium agent given before this series? What tags and words say, with negation, in eight languages.

English, French, German, Italian, Spanish, Portuguese, Swedish and Dutch. Phrases that only look like contrast (the
posterior fossa, after an operation, presaturation) are taken out first; then what says both; then what denies, with its
words; what is left may affirm. What nothing is said of is unknown: a miss falls there, not on the wrong side.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["yes", "no", "unknown", "conflict"]

# Closed lists, never a stem with anything behind it: what is matched is kept as evidence, and Gadomski is a surname.
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

TRAPS = (
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
)
BOTH = (
    rf"\b{_WITH}\W*(?:and|et|und|e|y|och|en|ou|oder|or|o)?\W*{_WITHOUT}\b",
    rf"\b{_WITHOUT}\W*(?:and|et|und|e|y|och|en|ou|oder|or|o)\W*{_WITH}\b",
    r"\bpre\W*(?:and|et|und|e|y)?\W*post\b",
    r"\+\s*/\s*-",
)
DENIED = (
    rf"\b{_WITHOUT}\W*{_GIVEN}\b",
    r"\bnon\W*(?:contrast|contraste|contrasted)\b",
    r"\b(?:un|non)\W*enhanced\b",
    r"\b(?:nativ|native|nativa|nativo|nativt|natief)\b",
    r"\bplain\b",
    r"\bblanco\b",
    r"\bpre\b",
    r"\b(?:wo|w o|ohne|sans|utan|senza|sin)\b",
    r"(?<!\+)-\s*(?:gd|c|k|km)\b",
)
AFFIRMED = (
    rf"\b{_WITH}\W*{_GIVEN}\b",
    rf"\+\s*{_GIVEN}\b",
    r"\b[ck]\s*\+",
    rf"\b{_AGENTS}\b",
    rf"\b(?:ce|enhanced|{_INJECTED})\b",
    r"\bpost\b",
)
_NONE = {"", "NONE", "NO", "N", "NO CONTRAST", "NO_CONTRAST", "WITHOUT", "0", "NIL", "N/A", "NON", "SANS", "AUCUN"}
_NONE |= {"OHNE", "KEIN", "KEINE", "NEIN", "NESSUNO", "SENZA", "NADA", "SIN", "SEM", "NAO", "INGET", "INGEN", "NEJ"}
_NONE |= {"UTAN", "GEEN", "NEE", "ZONDER"}


@dataclass(frozen=True)
class Evidence:
    """One thing that speaks for or against.

    Attributes:
        source: the element or the rule that it is from.
        says: `yes`, `no` or `both`.
        words: what stands there, of the words above; never the whole text, which may name a person.
    """

    source: str
    says: Literal["yes", "no", "both"]
    words: str


@dataclass(frozen=True)
class AgentStatus:
    """What is known of the agent, and by what.

    Attributes:
        state: `conflict` when evidence speaks both ways.
        evidence: all of it.
        may_be_enhanced: a series of its study before it is surely enhanced, though nothing says so of this one.
    """

    state: State
    evidence: tuple[Evidence, ...]
    may_be_enhanced: bool = False

    @property
    def evidence_text(self) -> str:
        """Returns the evidence as one line of text, for a table."""
        return "; ".join(f"{each.source}: {each.says} ({each.words})" for each in self.evidence)


def agent_status_of(header: Mapping[str, str]) -> AgentStatus:
    """Returns what tags and texts of a series say.

    Args:
        header: values by keyword, as text; `SeriesDescription`, `ProtocolName` and the Contrast/Bolus module are read.
    """
    found = [*_from_tags(header)]
    for keyword in ("SeriesDescription", "ProtocolName"):
        found += text_evidence(header.get(keyword, ""), keyword)
    return AgentStatus(decide(found), tuple(found))


def decide(evidence: Sequence[Evidence]) -> State:
    """Returns the state that evidence comes to."""
    said = {each.says for each in evidence}
    if "both" in said or {"yes", "no"} <= said:
        return "conflict"
    return "yes" if "yes" in said else "no" if "no" in said else "unknown"


def text_evidence(text: str, source: str = "SeriesDescription") -> list[Evidence]:
    """Returns what a description says; nothing when it says nothing."""
    rest = plain(text)
    for trap in TRAPS:
        rest = re.sub(trap, " ", rest)
    for pattern in BOTH:
        if match := re.search(pattern, rest):
            return [Evidence(source, "both", match[0].strip())]
    found = []
    for pattern in DENIED:
        found += [Evidence(source, "no", match[0].strip()) for match in re.finditer(pattern, rest)]
        rest = re.sub(pattern, " ", rest)
    for pattern in AFFIRMED:
        if match := re.search(pattern, rest):
            found.append(Evidence(source, "yes", match[0].strip()))
            break
    return found


def plain(text: str) -> str:
    """Returns text in small letters without accents, its words parted by blanks; + - / stay."""
    bare = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return re.sub(r"[_.,;:()\[\]=*]+", " ", bare).replace("w/o", "wo")


def with_timeline(agents: Sequence[AgentStatus], times: Sequence[str], starts: Sequence[str] = ()) -> list[AgentStatus]:
    """Returns the agents of the series of one study, those marked that may be enhanced though nothing says so.

    Args:
        agents: of each series.
        times: AcquisitionTime of each, as DICOM writes it; empty when unknown.
        starts: ContrastBolusStartTime of each, where it is known.
    """
    sure = [time for agent, time in zip(agents, times, strict=True) if agent.state == "yes" and time]
    first = min([*sure, *(start for start in starts if start)], default="")
    return [
        AgentStatus(agent.state, agent.evidence, bool(first and time and time > first and agent.state == "unknown"))
        for agent, time in zip(agents, times, strict=True)
    ]


def _from_tags(header: Mapping[str, str]) -> list[Evidence]:
    found = []
    if "ContrastBolusAgent" in header:
        is_none = header["ContrastBolusAgent"].strip().upper() in _NONE
        found.append(Evidence("ContrastBolusAgent", "no" if is_none else "yes", "none" if is_none else "an agent"))
    ingredient = header.get("ContrastBolusIngredient", "").strip().upper()
    if ingredient in ("GADOLINIUM", "NONE"):
        found.append(Evidence("ContrastBolusIngredient", "no" if ingredient == "NONE" else "yes", ingredient.lower()))
    for keyword in ("ContrastBolusVolume", "ContrastBolusTotalDose"):
        try:
            amount = float(header.get(keyword) or 0)
        except ValueError:
            amount = 0.0
        if amount > 0:
            found.append(Evidence(keyword, "yes", f"{amount:g}"))
    return found
