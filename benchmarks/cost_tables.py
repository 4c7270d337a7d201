"""The tables of docs/cost.md, from `results/cost_laws.json`; `tables.py` puts them into the page."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Any

from cost_fit import FEWEST, CostLaw, law_of

Content = dict[str, Any]
SCANS, SERIES, EVALUATED = 10_000, 1_000_000, 100
"""Sizes of the examples; chosen by hand."""
STEPS, STEP_VOXELS = 1100, 2 * 64**3
"""Steps and voxels in a step of `recipes/t1ce_to_t1.yaml`."""
MEMORY_GIB = (8, 16, 32, 64)


def duration(seconds: float) -> str:
    """Returns seconds as a person says them."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"


def number(value: float) -> str:
    """Returns a number with three digits and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def sentence(law: CostLaw, *, unit: str, cost: str, scale: float = 1) -> str:
    """Returns a law in words.

    Args:
        law: the law.
        unit: what the size counts, `million voxels`.
        cost: unit of the cost.
        scale: sizes in one `unit`.
    """
    slope = f"{law.exponent:.2f} [{law.exponent_95[0]:.2f}, {law.exponent_95[1]:.2f}]"
    error = f"root mean square error {100 * law.error:.0f} %"
    if law.kind == "line":
        low, high = (number(scale * end) for end in law.price_95)
        text = f"{number(law.start)} {cost} + {number(scale * law.price)} [{low}, {high}] {cost} per {unit}"
        return f"{text} (a line; {error}; slope on logarithmic axes {slope})"
    return f"{number(law.price * scale**law.exponent)} {cost} x ({unit}) to the power {slope} (a power; {error})"


def measured(part: Content) -> str:
    load = f"{part['load_at_start']:.1f}"
    rounds = "one measurement of each size" if part["rounds"] == 1 else f"the fewest of {part['rounds']} measurements"
    return f"One thread for each process, {rounds}, at a load of {load} when they began."


def shares(seconds: float, gflop: float, content: Content) -> str:
    """Returns the least seconds by the two floating-point limits, and the share of the time that they explain."""
    best = content["limits"]
    product, plain = (gflop / best[f"{name}_gflop_s"] for name in ("matrix_product", "convolution"))
    return f"{product:.2f} ({100 * product / seconds:.0f} %) | {plain:.2f} ({100 * plain / seconds:.0f} %)"


def limits(content: Content) -> str:
    best = content["limits"]
    start = best["start"]
    size = best["file_mib"]
    rows = {
        "float32 matrix product of 2048 x 2048": f"{best['matrix_product_gflop_s']:.0f} x 10⁹ operations per second",
        "convolution 3 x 3 x 3 of 24 to 24 channels": f"{best['convolution_gflop_s']:.0f} x 10⁹ operations per second",
        "copy in memory, read and write": f"{best['memory_copy_gb_s']:.0f} GB per second",
        f"write of a file of {size} MiB, until it is on the disk": f"{best['disk_write_mb_s']:,.0f} MB per second",
        f"read of a file of {size} MiB from the disk": f"{best['disk_read_mb_s']:,.0f} MB per second",
        "start of Python, torch and voxlate": f"{start['processor_s']:.1f} s, {start['peak_mib']:.0f} MiB",
    }
    lines = ["| limit, one thread | measured |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    note = (
        f"The best of 7 tries (start: of 3) at a load of {best['load_at_start']:.1f}; the disk by the clock, all else "
        "in processor seconds. A multiplication and an addition are two operations."
    )
    return "\n".join([*lines, "", note])


def training(content: Content) -> str:
    part = content["training"]
    lines = [
        "| windows | processor seconds of a step | matrix product alone | plain convolution alone | peak, GiB |",
        "|---|---|---|---|---|",
    ]
    for row in part["rows"]:
        least = shares(row["processor_s"], row["gflop"], content)
        peak = row["peak_mib"] / 1024
        lines.append(f"| {row['batch']} x {row['window']}³ | {row['processor_s']:.2f} | {least} | {peak:.2f} |")
    text = []
    for batch, laws in part["laws"].items():
        name = f"{batch} window{'s' if batch != '1' else ''}"
        time, memory = (law_of(laws[cost]) for cost in ("processor_s", "peak_mib"))
        text += [
            f"- Time of a step of {name}: {sentence(time, unit='million voxels', cost='s', scale=1e6)}.",
            f"- Peak memory with {name}: {sentence(memory, unit='million voxels', cost='MiB', scale=1e6)}.",
        ]
    text.append(_alone_or_in_two(part["rows"]))
    return "\n".join([*lines, "", *text, "", f"`{part['recipe']}`, a simulated head. {measured(part)}"])


def _alone_or_in_two(rows: list[Content]) -> str:
    """Returns what a window costs alone in a step, over what it costs in a step of two."""
    seconds = {(row["batch"], row["window"]): row["processor_s"] for row in rows}
    sides = [row["window"] for row in rows if row["batch"] == 2]
    ratios = [f"{2 * seconds[1, side] / seconds[2, side]:.1f} ({side}³)" for side in sides]
    return f"- A window alone in a step costs {', '.join(ratios)} times what it costs in a step of two."


def translation(content: Content) -> str:
    part = content["translation"]
    lines = [
        "| voxels | box of the brain | processor seconds | matrix product alone | convolution alone | peak, GiB |",
        "|---" * 6 + "|",
    ]
    for row in part["rows"]:
        least = shares(row["processor_s"], row["gflop"], content)
        box = " x ".join(map(str, row["box"]))
        figures = f"{row['processor_s']:.1f} | {least} | {row['peak_mib'] / 1024:.2f}"
        lines.append(f"| {row['voxels'] / 1e6:.1f} million | {box} | {figures} |")
    time, memory = (law_of(part["laws"][name]) for name in ("processor_s", "peak_mib"))
    text = [
        f"- Time of a scan: {sentence(time, unit='million voxels', cost='s', scale=1e6)}.",
        f"- Peak memory: {sentence(memory, unit='million voxels', cost='MiB', scale=1e6)}.",
    ]
    note = f"`voxlate translate` with `{part['model']}`, a simulated head without skull, a process for each scan."
    return "\n".join([*lines, "", *text, "", f"{note} {measured(part)}"])


def evaluation(content: Content) -> str:
    part, small = content["evaluation"], content["cases"]
    rate = content["limits"]["matrix_product_gflop_s"]
    lines = [
        "| work | processor seconds | filters alone, as a matrix product | peak, GiB |",
        "|---|---|---|---|",
    ]
    named = [(f"one case of {row['voxels'] / 1e6:.1f} million voxels", row) for row in part["rows"]]
    named += [(f"{row['cases']} cases of 48 x 48 x 48 voxels", row) for row in small["rows"]]
    for name, row in named:
        least = row["gflop"] / rate
        filters = f"{least:.2f} ({100 * least / row['processor_s']:.1f} %)"
        lines.append(f"| {name} | {row['processor_s']:.1f} | {filters} | {row['peak_mib'] / 1024:.2f} |")
    by_size, by_count = part["laws"], small["laws"]
    text = [
        f"- Time of a case: {sentence(law_of(by_size['processor_s']), unit='million voxels', cost='s', scale=1e6)}.",
        f"- Peak memory: {sentence(law_of(by_size['peak_mib']), unit='million voxels', cost='MiB', scale=1e6)}.",
        f"- Time of small cases: {sentence(law_of(by_count['processor_s']), unit='case', cost='s')}.",
        f"- Peak memory: {sentence(law_of(by_count['peak_mib']), unit='case', cost='MiB')}.",
    ]
    return "\n".join(
        [*lines, "", *text, "", f"`voxlate evaluate`, default protocol, without a model. {measured(part)}"]
    )


def index(content: Content) -> str:
    part, best = content["index"], content["limits"]
    lines = ["| series | processor seconds | the same files read, s | their bytes through the disk, s | peak, MiB |"]
    lines.append("|---" * 5 + "|")
    for row in part["rows"]:
        disk = (row["read_bytes"] / best["disk_read_mb_s"] + row["out_bytes"] / best["disk_write_mb_s"]) / 1e6
        figures = f"{row['processor_s']:.1f} | {row['plain_read_s']:.2f} | {disk:.2f} | {row['peak_mib']:.0f}"
        lines.append(f"| {row['series']:,} | {figures} |")
    laws = part["laws"]
    text = [
        f"- Time: {sentence(law_of(laws['processor_s']), unit='1,000 series', cost='s', scale=1000)}.",
        f"- Peak memory: {sentence(law_of(laws['peak_mib']), unit='1,000 series', cost='MiB', scale=1000)}.",
    ]
    note = "`voxlate index --jobs 1`, simulated headers of one file a series."
    return "\n".join([*lines, "", *text, "", f"{note} {measured(part)}"])


def batch(content: Content) -> str:
    part = content["batch"]
    lines = ["| workers | scans | processor seconds | seconds of the clock | matrix product alone, s | memory, GiB |"]
    lines.append("|---" * 6 + "|")
    for row in part["rows"]:
        least = row["gflop"] / content["limits"]["matrix_product_gflop_s"]
        figures = f"{row['processor_s']:.1f} | {row['clock_s']:.1f} | {least:.1f} | {row['together_mib'] / 1024:.2f}"
        lines.append(f"| {row['workers']} | {row['cases']} | {figures} |")
    text = []
    for workers, laws in part["laws"].items():
        name = f"{workers} worker{'s' if workers != '1' else ''}"
        if laws:
            text += [
                f"- Time of {name}: {sentence(law_of(laws['processor_s']), unit='scan', cost='s')}.",
                f"- Memory of {name}: {sentence(law_of(laws['together_mib']), unit='scan', cost='MiB')}.",
            ]
        else:
            text.append(f"- {name}: fewer than {FEWEST} sizes were measured, so that no law is stated.")
    note = (
        f"`voxlate batch` with `{part['model']}`, scans of {part['voxels'] / 1e6:.2f} million voxels. {measured(part)} "
        "More workers than the two cores of this machine were not measured: they could only wait for each other."
    )
    return "\n".join([*lines, "", *text, "", note])


def answers(content: Content) -> str:
    """Returns what a user computes from the laws, for a scan of the largest size."""
    scan = content["translation"]["rows"][-1]["voxels"]
    times = {name: law_of(content[name]["laws"]["processor_s"]) for name in ("translation", "evaluation")}
    step = law_of(content["training"]["laws"]["2"]["processor_s"]).at(STEP_VOXELS)
    alone = times["translation"].at(scan)
    in_batch, evaluated = (times[name].at(scan) - times[name].start for name in ("translation", "evaluation"))
    indexed = law_of(content["index"]["laws"]["processor_s"]).at(SERIES)
    size = " x ".join(map(str, content["translation"]["largest"]))
    rows = {
        f"{SCANS:,} scans of {size} in a batch, which starts once": (SCANS, in_batch),
        "the same scans, a command for each": (SCANS, alone),
        f"{STEPS:,} steps of two windows of 64³": (STEPS, step),
        f"evaluation of {EVALUATED} cases of {size}": (EVALUATED, evaluated),
        f"index of {SERIES:,} series": (SERIES, indexed / SERIES),
    }
    lines = ["| work | computed as | one core |", "|---|---|---|"]
    for name, (count, each) in rows.items():
        lines.append(f"| {name} | {count:,} x {each:.2g} s | {duration(count * each)} |")
    return "\n".join([*lines, "", _workers(content, scan, size)])


def _workers(content: Content, scan: float, size: str) -> str:
    """Returns how many workers fit into some sizes of memory."""
    worker = law_of(content["translation"]["laws"]["peak_mib"]).at(scan)
    first = content["batch"]["rows"][0]
    main = first["together_mib"] - first["peak_mib"]
    fit = [f"{gib} GiB: {floor((1024 * gib - main) / worker)}" for gib in MEMORY_GIB]
    return (
        f"Workers that fit into memory: (memory − {main:.0f} MiB of the main process) / {worker:.0f} MiB of a worker "
        f"for {size} voxels. {', '.join(fit)}."
    )


COST_TABLES: dict[str, Callable[[Content], str]] = {
    "cost_limits": limits,
    "cost_answers": answers,
    "cost_training": training,
    "cost_translation": translation,
    "cost_evaluation": evaluation,
    "cost_index": index,
    "cost_batch": batch,
}
