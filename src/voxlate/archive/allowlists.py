"""De-identifies header elements for the table of an index: only listed codes and words are copied, never free text.

Free text may name a person. A code that is not listed becomes `other`. The name of a site, a device or an unknown
scanner model becomes a pseudonym, so that scans can still be grouped by it.
"""

from __future__ import annotations

import re

from voxlate.archive.pseudonyms import pseudonym

MANUFACTURERS = (
    "SIEMENS",
    "GE",
    "PHILIPS",
    "CANON",
    "TOSHIBA",
    "HITACHI",
    "BRUKER",
    "AGFA",
    "FUJIFILM",
    "UIH",
    "NEUSOFT",
)
MODALITIES = (
    "MR", "CT", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "SC", "OT", "SR", "KO", "PR", "SEG", "REG", "DOC",
)  # fmt: skip
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
# Model numbers such as MR750W, 3T, HD16 or AS+, and single letters.
_MODEL_CODE = re.compile(r"(?:MR|GE|HD|CT|AS|S)?[0-9]{1,4}(?:\.[0-9])?(?:T|W|X|XT|\+)?|[A-Z]")
# Kernels of GE by name, and of Philips by letters (UA to UC and A, B are smooth, YC to YE and C to E, L sharp).
_SMOOTH = {"STANDARD", "SOFT", "UA", "UB", "UC", "A", "B", "BRAIN", "SMOOTH"}
_SHARP = {"BONE", "BONEPLUS", "EDGE", "LUNG", "DETAIL", "YC", "YD", "YE", "C", "D", "E", "L"}
_SIEMENS_KERNEL = re.compile(r"[A-Z]{1,2}([0-9]{2})[A-Z]?[0-9]?")

# Siemens numbers kernels by sharpness, from about 10 to 80: H31s and B30f are soft tissue, B60f and B70f bone and lung.
# The border of 50 lies between them; chosen by hand, not tuned.
_SHARP_FROM = 50


def listed_code(text: str, allowed: tuple[str, ...]) -> str | None:
    """Returns a code in capitals when it is allowed, `other` for another code, None for empty text.

    Args:
        text: value of an element.
        allowed: codes in capitals.
    """
    code = text.strip().upper()
    return None if not code else code if code in allowed else "other"


def manufacturer(text: str) -> str | None:
    """Returns the name of a listed manufacturer, `other` for another one, None for empty text."""
    words = re.split(r"[^A-Z]+", text.upper())
    return next((word for word in words if word in MANUFACTURERS), "other" if text.strip() else None)


def model(text: str, key: str) -> str | None:
    """Returns a scanner model when every word of it is listed, a pseudonym of another one, None for empty text.

    Args:
        text: ManufacturerModelName.
        key: secret of the site.
    """
    words = text.upper().split()
    if not words:
        return None
    if all(word in _MODEL_WORDS or _MODEL_CODE.fullmatch(word) for word in words):
        return " ".join(text.split())
    return name_pseudonym(text, key, "model")


def name_pseudonym(text: str, key: str, kind: str) -> str | None:
    """Returns a pseudonym such as `site-3fa9c1d2`, None for empty text.

    Args:
        text: the name.
        key: secret of the site.
        kind: what it names, such as `site`.
    """
    plain = " ".join(text.split())
    return f"{kind}-{pseudonym(key, kind, plain, length=8)}" if plain else None


def kernel(text: str) -> str | None:
    """Returns `soft` or `sharp` for a CT kernel of a known vendor, `other` for another one, None for empty text.

    Known are kernels such as H31s and B70f of Siemens, STANDARD and BONE of GE, UB and YC of Philips. The first of
    several values counts; Siemens writes the strength of iterative reconstruction behind it.

    Example:
        >>> kernel("B70f"), kernel("STANDARD")
        ('sharp', 'soft')
    """
    code = text.split("\\", maxsplit=1)[0].strip().upper()
    if not code:
        return None
    if code in _SMOOTH or code in _SHARP:
        return "sharp" if code in _SHARP else "soft"
    siemens = _SIEMENS_KERNEL.fullmatch(code)
    if siemens is None:
        return "other"
    return "sharp" if int(siemens[1]) >= _SHARP_FROM else "soft"
