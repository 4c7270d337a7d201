"""voxlate's default beside its peers, trained and applied under one clock and scored by one scorer.

    python benchmarks/peers/run.py --seconds 1800

For each task, fold and system: one training of that many processor seconds on one thread (preparation and reading are
not counted), and its answers for the subjects that were left out. Each peer runs in an environment of its own in
`runs/peers/environments`, made on the first call. A training that is recorded is not repeated, so that the command
goes on after an interruption. Results: `benchmarks/results/peers.json` and `docs/comparison.md`.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from compare import main

    main()
