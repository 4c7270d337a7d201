"""What of a header may stand in a table: words of lists, never free text, which may name a person.

A code that is in no list becomes `other`; a name of a site, a machine or an unknown model becomes a pseudonym, so that
scans can still be grouped by it.
"""

from __future__ import annotations

import re

from voxlate.archive.pseudonyms import pseudonym

MAKERS = ("SIEMENS", "GE", "PHILIPS", "CANON", "TOSHIBA", "HITACHI", "BRUKER", "AGFA", "FUJIFILM", "UIH", "NEUSOFT")
MODALITIES = (
    "MR",
    "CT",
    "PT",
    "NM",
    "US",
    "CR",
    "DX",
    "MG",
    "XA",
    "RF",
    "SC",
    "OT",
    "SR",
    "KO",
    "PR",
    "SEG",
    "REG",
    "DOC",
)
BODY_PARTS = (
    "HEAD", "BRAIN", "SKULL", "NECK", "HEADNECK", "HEAD_NECK", "FACE", "ORBIT", "IAC", "PITUITARY", "SPINE", "CSPINE",
    "TSPINE", "LSPINE", "CTSPINE", "TLSPINE", "LSSPINE", "WHOLESPINE", "CHEST", "ABDOMEN", "PELVIS", "HEART", "KNEE",
    "SHOULDER", "HIP", "ANKLE", "FOOT", "HAND", "WRIST", "ELBOW", "BREAST", "LIVER", "PROSTATE", "WHOLEBODY",
)  # fmt: skip
_MODEL_WORDS = {
    "MAGNETOM", "SKYRA", "SKYRAFIT", "PRISMA", "PRISMAFIT", "PRISMA_FIT", "VERIO", "TRIO", "TRIOTIM", "TIM", "AVANTO",
    "AVANTOFIT", "AERA", "VIDA", "LUMINA", "SOLA", "ALTEA", "AMIRA", "SYMPHONY", "SYMPHONYTIM", "SONATA", "ESPREE",
    "ESSENZA", "HARMONY", "SPECTRA", "TERRA", "BIOGRAPH", "BIOGRAPH_MMR", "FREE.MAX", "CIMA.X", "DISCOVERY", "SIGNA",
    "OPTIMA", "ARCHITECT", "ARTIST", "PREMIER", "VOYAGER", "PIONEER", "EXPLORER", "CREATOR", "EXCITE", "HDXT", "HDX",
    "BRIVO", "ACHIEVA", "INGENIA", "ELITION", "AMBITION", "INTERA", "PANORAMA", "MULTIVA", "DSTREAM", "GYROSCAN", "X",
    "TITAN", "VANTAGE", "ORIAN", "GALAN", "CENTURIAN", "ECHELON", "OASIS", "AIRIS", "SOMATOM", "DEFINITION", "FLASH",
    "FORCE", "EDGE", "PERSPECTIVE", "EMOTION", "SENSATION", "DRIVE", "GO.TOP", "GO.ALL", "REVOLUTION", "LIGHTSPEED",
    "VCT", "EVO", "CT", "APEX", "BRILLIANCE", "INCISIVE", "ICT", "IQON", "INGENUITY", "SPECTRAL", "AQUILION", "ONE",
    "PRIME", "GENESIS", "NEXT", "MR", "SP", "FIT", "PLUS", "PRO", "SYSTEM", "SYSTEMS", "SIMULATED",
}  # fmt: skip
_MODEL_CODE = re.compile(r"(?:MR|GE|HD|CT|AS|S)?[0-9]{1,4}(?:\.[0-9])?(?:T|W|X|XT|\+)?|[A-Z]")
_SMOOTH = {"STANDARD", "SOFT", "UA", "UB", "UC", "A", "B", "BRAIN", "SMOOTH"}
_SHARP = {"BONE", "BONEPLUS", "EDGE", "LUNG", "DETAIL", "YC", "YD", "YE", "C", "D", "E", "L"}
_SIEMENS_KERNEL = re.compile(r"[A-Z]{1,2}([0-9]{2})[A-Z]?(?:\\?[0-9]?)?")
_SHARP_FROM = 50


def listed(text: str, known: tuple[str, ...]) -> str | None:
    """Returns a code that is in the list, `other` for one that is not, None for nothing."""
    code = text.strip().upper()
    return None if not code else code if code in known else "other"


def maker(text: str) -> str | None:
    """Returns the name of a known manufacturer, `other` for any other, None for nothing."""
    words = re.split(r"[^A-Z]+", text.upper())
    return next((word for word in words if word in MAKERS), "other" if text.strip() else None)


def model(text: str, key: str) -> str | None:
    """Returns a model whose every word is known, for any other a pseudonym, None for nothing."""
    words = text.upper().split()
    if not words:
        return None
    if all(word in _MODEL_WORDS or _MODEL_CODE.fullmatch(word) for word in words):
        return " ".join(text.split())
    return hidden(text, key, "model")


def hidden(text: str, key: str, kind: str) -> str | None:
    """Returns a pseudonym such as `site-3fa9c1`, None for nothing."""
    plain = " ".join(text.split())
    return f"{kind}-{pseudonym(key, kind, plain, length=8)}" if plain else None


def kernel(text: str) -> str | None:
    """Returns `soft` or `sharp` for a CT kernel as vendors name them, else `other`, None for nothing.

    H31s and B70f of Siemens (50 and above are sharp), STANDARD and BONE of GE, UB and YC of Philips.
    """
    code = text.split("\\\\", maxsplit=1)[0].strip().upper()
    if not code:
        return None
    if code in _SMOOTH or code in _SHARP:
        return "sharp" if code in _SHARP else "soft"
    found = _SIEMENS_KERNEL.fullmatch(code)
    if found is None:
        return "other"
    return "sharp" if int(found[1]) >= _SHARP_FROM else "soft"
