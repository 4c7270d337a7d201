import pytest

from voxlate.cli.running import _ended_before
from voxlate.cli.train import _least_time
from voxlate.experiments import estimate
from voxlate.jobs.batch import NAMES, SETTINGS
from voxlate.jobs.ledger import Ledger
from voxlate.jobs.states import DONE, FAILED, REFUSED, CaseOutcome


@pytest.mark.parametrize(("retry", "count"), [(False, 3), (True, 2)])
def test_the_cases_that_a_batch_ended_before_are_counted_by_shard(tmp_path, retry, count):
    assert _ended_before(tmp_path, (1, 1), retry=retry) == 0
    (tmp_path / SETTINGS).write_text("{}")
    (tmp_path / NAMES).write_text("a\nb\nc\nd\n")
    ledger = Ledger(tmp_path)
    for name, state in (("a", DONE), ("b", REFUSED), ("c", FAILED)):
        ledger.end(CaseOutcome(name, state, "" if state == DONE else "X"))
    ledger.close()
    assert _ended_before(tmp_path, (1, 1), retry=retry) == count
    assert sum(_ended_before(tmp_path, (part, 2), retry=retry) for part in (1, 2)) == count


def test_the_line_that_begins_a_training_has_its_least_time_on_a_processor_alone(monkeypatch):
    monkeypatch.setattr(estimate, "least_training_seconds", lambda recipe: recipe)
    assert _least_time(720.0, "cpu") == "at least 12 min by the operations of its network"
    assert _least_time(720.0, "cuda") is _least_time(59.0, "cpu") is _least_time(None, "cpu") is None
