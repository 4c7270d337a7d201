"""Trackers get the losses and samples of a run: files in its folder, and TensorBoard and MLflow if the recipe asks.

All write into the folder of the run. Nothing is sent over a network unless `MLFLOW_TRACKING_URI` names a server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import matplotlib.image
import numpy as np

from voxlate.bundle.recipe import Recipe, recipe_text
from voxlate.errors import MissingLibrary
from voxlate.io.atomic import replacing
from voxlate.volume import Array


class Tracker(Protocol):
    """Gets the losses and samples of a run."""

    def losses(self, step: int, losses: Mapping[str, float]) -> None:
        """Records the losses after `step` steps."""

    def sample(self, step: int, picture: Array) -> None:
        """Records a picture, (rows, columns), from 0 (black) to 1 (white)."""

    def close(self) -> None:
        """Writes what is not yet written."""


class SampleFiles:
    """Writes each picture into `samples/` in the run's folder; losses go to `history.json` at the end."""

    def __init__(self, run: Path) -> None:
        self.folder = run / "samples"

    def losses(self, step: int, losses: Mapping[str, float]) -> None:
        """Does nothing."""

    def sample(self, step: int, picture: Array) -> None:
        """Writes `step-<step>.png`."""
        with replacing(self.folder / f"step-{step:06d}.png") as partial:
            matplotlib.image.imsave(partial, picture, cmap="gray", vmin=0, vmax=1, format="png")

    def close(self) -> None:
        """Does nothing."""


class TensorBoard:
    """Writes event files into `tensorboard/` in the run's folder."""

    def __init__(self, run: Path, recipe: Recipe) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingLibrary(
                "MISSING_LIBRARY", "the recipe asks for TensorBoard; pip install tensorboard"
            ) from error
        self.writer: Any = SummaryWriter(str(run / "tensorboard"))
        self.writer.add_text("recipe", f"```yaml\n{recipe_text(recipe)}\n```")

    def losses(self, step: int, losses: Mapping[str, float]) -> None:
        """Adds a point to each curve."""
        for name, value in losses.items():
            self.writer.add_scalar(name, value, step)

    def sample(self, step: int, picture: Array) -> None:
        """Adds the picture."""
        self.writer.add_image("sample", picture[None], step)

    def close(self) -> None:
        """Flushes the files."""
        self.writer.close()


class MLflow:
    """Logs a run to the server of `MLFLOW_TRACKING_URI`, or into `mlflow/` in the run's folder."""

    def __init__(self, run: Path, recipe: Recipe) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            import mlflow
        except ImportError as error:
            raise MissingLibrary("MISSING_LIBRARY", "the recipe asks for MLflow; pip install mlflow-skinny") from error
        self.client: Any = mlflow
        self.is_own = "MLFLOW_TRACKING_URI" not in os.environ
        if self.is_own:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            mlflow.set_tracking_uri((run / "mlflow").absolute().as_uri())
        mlflow.set_experiment(recipe.name)
        mlflow.start_run()
        mlflow.log_text(recipe_text(recipe), "recipe.yaml")
        mlflow.log_params({"network": recipe.model.name, "steps": recipe.steps} | recipe.model.arguments)

    def losses(self, step: int, losses: Mapping[str, float]) -> None:
        """Logs one value of each."""
        self.client.log_metrics(dict(losses), step=step)

    def sample(self, step: int, picture: Array) -> None:
        """Logs the picture."""
        self.client.log_image((picture * 255).astype(np.uint8), f"samples/step-{step:06d}.png")

    def close(self) -> None:
        """Ends the run."""
        self.client.end_run()
        if self.is_own:
            os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it; the next run has a folder of its own


def trackers_of(recipe: Recipe, run: Path) -> list[Tracker]:
    """Returns the trackers that a recipe asks for; the first writes samples as files.

    Raises:
        MissingLibrary: `MISSING_LIBRARY`.
    """
    trackers: list[Tracker] = [SampleFiles(run)]
    if "tensorboard" in recipe.trackers:
        trackers.append(TensorBoard(run, recipe))
    if "mlflow" in recipe.trackers:
        trackers.append(MLflow(run, recipe))
    return trackers
