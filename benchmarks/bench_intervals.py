"""How often the intervals of means over patients cover the mean, by the number and the skewness of the values.

    python benchmarks/bench_intervals.py

`evaluate` prints these intervals (`voxlate.evaluation.statistics.intervals`). Log-normal values of a deviation of 0.25
are as skewed as errors over patients are here; 0.5 and 1 show where the intervals begin to promise too much."""

from __future__ import annotations

from typing import Any

import numpy as np
from machine import write_result

from voxlate.evaluation.statistics import mean_interval

SAMPLES = 4000
SIZES = (3, 5, 9, 15, 26, 50)
KINDS = {"normal": 0.0, "log-normal, 0.25": 0.25, "log-normal, 0.5": 0.5, "log-normal, 1": 1.0}


def coverage(deviation: float, n: int) -> dict[str, Any]:
    values = np.random.default_rng(n).normal(size=(SAMPLES, n))
    truth = np.exp(deviation**2 / 2) if deviation else 0.0
    drawn = np.exp(deviation * values) if deviation else values
    found = [mean_interval(row) for row in drawn]
    covered = float(np.mean([one.low <= truth <= one.high for one in found]))
    return {"n": n, "covers": covered, "method": found[0].method}


def main() -> None:
    rows = [{"values": kind} | coverage(deviation, n) for kind, deviation in KINDS.items() for n in SIZES]
    write_result("intervals", {"samples": SAMPLES, "confidence": 0.95, "rows": rows})


if __name__ == "__main__":
    main()
