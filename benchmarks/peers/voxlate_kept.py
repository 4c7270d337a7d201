"""The training of "voxlate, from the shipped model" once more, with `training.start_share: 0.4`.

This setting changes what is kept at the end and not how it is trained, so that the weights of that system's run are
taken, and no training is repeated. That system has to be run first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from common import read_job, write_record
from voxlate_default import answer

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.pretrained import find_bundle
from voxlate.training.validation import toward_start

TRAINED = "voxlate, from the shipped model"

START_SHARE = 0.4
"""Best of 0, 0.2, 0.4, 0.6 and 0.8 by the MAE in the brain of the nine pairs, which are those of the comparison:
benchmarks/results/start_share.json."""


def main() -> None:
    job, content = read_job(), json.loads(Path(sys.argv[1]).read_text())
    trained = job.out.parents[1] / TRAINED / job.out.name
    bundle, start = read_bundle(trained / "work" / "run" / "bundle"), read_bundle(find_bundle(content["start_from"]))
    weights = toward_start(bundle.network.state_dict(), start.network.state_dict(), START_SHARE)
    bundle.network.load_state_dict(weights)
    answer(job, bundle, job.out / "work", content["more"])
    record = json.loads((trained / "record.json").read_text())
    used, steps, parameters = (record[name] for name in ("seconds", "steps", "parameters"))
    write_record(job, used, steps, parameters, start_share=START_SHARE, weights_of=TRAINED)


if __name__ == "__main__":
    main()
