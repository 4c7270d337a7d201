"""KonfAI's own workflow with the network of its synthesis example: UNet++ on a ResNet-34, five slices in, L1.

Differences from the example: no perceptual loss, whose network would have to be downloaded; the target is in z-scores
and the last layer has no tanh, because MR has no fixed range; z-scores of the mask, and no clip of the source at its
99.5th percentile; slices of 256 and not 320 pixels; the learning rate stays, as the example lowers it only every ten
epochs; AdamW's own weight decay; no flips at prediction. Training is stopped when the processor seconds are used, and
the last checkpoint predicts, at most `EVERY` steps older; the seconds count the writing of these checkpoints.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import konfai
import nibabel
import numpy as np
import SimpleITK
import yaml
from common import SEED, Job, read_image, read_job, read_mask, target_units, write_answer, write_record
from konfai.utils.model_builder import build_model_from_yaml

EVERY = 10
"""Steps between checkpoints."""
NETWORK = {
    "dim": 2,
    "in_channels": 5,
    "num_classes": 1,
    "stem_channels": 64,
    "stage_channels": [64, 128, 256, 512],
    "n_blocks_per_stage": [3, 4, 6, 3],
}
NONE = "None"
STANDARDIZE = {"Standardize": {"lazy": False, "mean": NONE, "std": NONE, "mask": "MASK", "inverse": False}}
PATCH = {"patch_size": [1, 256, 256], "overlap": NONE, "pad_value": 0, "extend_slice": 4}


def group(transforms, is_input):
    return {"transforms": transforms, "patch_transforms": NONE, "is_input": is_input}


def groups(*names):
    """Returns the groups of a data set: images in z-scores, and the mask in which these are computed."""
    found = {name: {"groups_dest": {name: group(STANDARDIZE, name == "SOURCE")}} for name in names}
    return found | {"MASK": {"groups_dest": {"MASK": group(NONE, False)}}}


def training_settings():
    constant = {"schedulers": {"Constant": {"nb_step": 0, "value": 1}}, "group": 0, "start": 0, "stop": NONE}
    loss = {"torch:nn:L1Loss": {"is_loss": True, "reduction": "mean", "accumulation": False, **constant}}
    network = {
        "parameters": NETWORK,
        "outputs_criterions": {"SegmentationHead": {"targets_criterions": {"TARGET": {"criterions_loader": loss}}}},
        "optimizer": {"name": "AdamW", "lr": 0.001},
    }
    flips = {"Flip": {"f_prob": [0, 0.5, 0.5], "prob": 1}}
    dataset = {
        "groups_src": groups("SOURCE", "TARGET"),
        "augmentations": {"DataAugmentation_0": {"data_augmentations": flips, "nb": 1}},
        "Patch": PATCH,
        "subset": NONE,
        "shuffle": True,
        "dataset_filenames": ["./train/:a:mha"],
        "inline_augmentations": True,
        "batch_size": 1,
        "validation": NONE,
    }
    return {
        "Trainer": {
            "Model": {"classpath": "default|UNetPlusPlus.yml", "UNetPlusPlus": network},
            "Dataset": dataset,
            "train_name": "RUN",
            "manual_seed": SEED,
            "epochs": 100000,
            "it_validation": EVERY,
            "autocast": False,
            "gradient_checkpoints": NONE,
            "gpu_checkpoints": NONE,
            "ema_decay": 0,
            "data_log": NONE,
            "save_checkpoint_mode": "BEST",
            "EarlyStopping": NONE,
        }
    }


def prediction_settings():
    output = {
        "name_class": "OutputDataset",
        "before_reduction_transforms": NONE,
        "after_reduction_transforms": NONE,
        "final_transforms": NONE,
        "dataset_filename": "Answers:mha",
        "group": "SYNTHETIC",
        "same_as_group": "SOURCE:SOURCE",
        "patch_combine": NONE,
        "inverse_transform": False,
        "reduction": "Mean",
    }
    network = {"parameters": NETWORK, "outputs_criterions": NONE}
    dataset = {
        "groups_src": groups("SOURCE"),
        "augmentations": NONE,
        "Patch": PATCH,
        "subset": NONE,
        "dataset_filenames": ["./test/:a:mha"],
        "batch_size": 8,
    }
    return {
        "Predictor": {
            "Model": {"classpath": "default|UNetPlusPlus.yml", "UNetPlusPlus": network},
            "Dataset": dataset,
            "outputs_dataset": {"SegmentationHead": {"OutputDataset": output}},
            "train_name": "RUN",
            "manual_seed": SEED,
            "gpu_checkpoints": NONE,
            "autocast": False,
            "combine": "Mean",
            "data_log": NONE,
        }
    }


def write_data(cases, folder: Path) -> None:
    """Writes the images of some cases as KonfAI's data set, without their geometry, which all of a case share."""
    for case in cases:
        images = {"SOURCE": read_image(case["sources"][0]), "MASK": read_mask(case).astype(np.float32)}
        if "target" in case:
            images["TARGET"] = read_image(case["target"])
        for name, image in images.items():
            path = folder / case["name"] / f"{name}.mha"
            path.parent.mkdir(parents=True, exist_ok=True)
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image.transpose(2, 1, 0)), str(path))


def processor_seconds(group_of_processes: int) -> float:
    """Returns the processor seconds of all running processes of a group."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[2]) == group_of_processes:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def konfai_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "konfai.main", *arguments, "-y", "--cpu", "1"]


def train_until(job: Job, folder: Path) -> float:
    """Trains until the processor seconds since the first step are used, and returns them."""
    with (folder / "training.txt").open("w") as log:
        command = konfai_command("TRAIN", "--config", "Config.yml")
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    begin = None
    while process.poll() is None:
        used = processor_seconds(process.pid)
        if begin is None and "Training :" in (folder / "training.txt").read_text():
            begin = used
        if begin is not None and used - begin >= job.seconds:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return used - begin
        time.sleep(0.5)
    raise SystemExit(f"KonfAI ended by itself, see {folder / 'training.txt'}")


def steps_in_log(log: str) -> int:
    """Returns the steps of a training from its progress lines, `n/steps of an epoch`; the checkpoint is a pickle."""
    lines = re.findall(r"Training : .* (\d+)/(\d+) \[", log.replace("\r", "\n"))
    places = [int(place) for place, _ in lines]
    n_epochs = sum(later < earlier for earlier, later in pairwise(places))
    return n_epochs * int(lines[-1][1]) + places[-1]


def main() -> None:
    job = read_job()
    if len(job.train[0]["sources"]) > 1:
        raise SystemExit("the network of KonfAI's synthesis example takes one source")
    folder = job.out / "work"
    write_data(job.train, folder / "train")
    write_data(job.test, folder / "test")
    (folder / "Config.yml").write_text(yaml.safe_dump(training_settings(), sort_keys=False))
    (folder / "Prediction.yml").write_text(yaml.safe_dump(prediction_settings(), sort_keys=False))
    used = train_until(job, folder)
    last = max((folder / "Checkpoints" / "RUN").glob("*.pt"), key=lambda path: path.stat().st_mtime)
    steps = steps_in_log((folder / "training.txt").read_text()) // EVERY * EVERY
    command = konfai_command("PREDICTION", "--config", "Prediction.yml", "--models", str(last.relative_to(folder)))
    with (folder / "prediction.txt").open("w") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=True)
    mean, deviation = target_units(job.train)
    for case in job.test:
        path = folder / "Predictions" / "RUN" / "Answers" / case["name"] / "SYNTHETIC.mha"
        image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).transpose(2, 1, 0)
        assert image.shape == nibabel.load(case["sources"][0]).shape, f"{case['name']}: {image.shape}"
        write_answer(job, case, image * deviation + mean)
    last.unlink()  # 300 MB
    version = re.sub(r"\+.*", "", getattr(konfai, "__version__", "unknown"))
    model = build_model_from_yaml(yaml_path=Path(konfai.__file__).parent / "models" / "yaml" / "UNetPlusPlus.yml")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    write_record(job, used, steps, parameters, konfai=version)


if __name__ == "__main__":
    main()
