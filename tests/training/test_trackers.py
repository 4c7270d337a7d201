import importlib.util
import sys

import matplotlib.image
import numpy as np
import pytest

from voxlate.errors import UsageError
from voxlate.training.loop import train


def asking(recipe, *trackers):
    settings = recipe.training.model_copy(update={"steps": 2, "validate_every": 2})
    return recipe.model_copy(update={"training": settings, "trackers": trackers})


def test_a_sample_shows_source_synthetic_and_target_of_a_validation_case(recipe, cohort, tmp_path):
    train(asking(recipe), tmp_path / "run", root=cohort)
    (path,) = (tmp_path / "run" / "samples").iterdir()
    picture = matplotlib.image.imread(path)[:, :, 0]
    assert path.name == "step-000002.png"
    third = picture.shape[1] // 3
    source, synthetic, target = (picture[:, n * third : (n + 1) * third] for n in range(3))
    for panel in (source, synthetic, target):
        assert 0.05 < panel.mean() < 0.95
    # The tiny cohort's target is its source turned round.
    inside = (source > 0.05) & (target > 0.05)
    assert np.corrcoef(source[inside], target[inside])[0, 1] < -0.9


@pytest.mark.parametrize(("tracker", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow")])
def test_a_tracker_that_is_not_installed_is_refused(recipe, cohort, tmp_path, monkeypatch, tracker, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=r"MISSING_LIBRARY .*pip install"):
        train(asking(recipe, tracker), tmp_path / "run", root=cohort)


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="TensorBoard is an extra")
def test_tensorboard_gets_curves_and_samples(recipe, cohort, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(asking(recipe, "tensorboard"), tmp_path / "run", root=cohort)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert {"loss", "validation"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["sample"]


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="MLflow is an extra")
def test_mlflow_gets_curves_and_settings(recipe, cohort, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    train(asking(recipe, "mlflow"), tmp_path / "run", root=cohort)
    mlflow.set_tracking_uri((tmp_path / "run" / "mlflow").as_uri())
    (run,) = mlflow.search_runs(experiment_names=["tiny"], output_format="list")
    assert run.data.params["network"] == "translator"
    assert {"loss", "validation"} <= set(run.data.metrics)
    assert not (tmp_path / "mlruns").exists()
