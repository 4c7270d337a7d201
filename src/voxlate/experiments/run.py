"""Runs the steps of a plan, each in a process of its own, and goes on where an earlier run was stopped.

A step is done when `steps/NAME.json` says so for the same command and the same steps before it. A step whose command
changed is made again, and so is an evaluation when a system that it shows was made again, or was mended. Several
processes, also on several machines with one file system, may run the same plan at once: each step is done under a lock,
by whichever process takes it first.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxlate.bundle.recipe import recipe_text
from voxlate.errors import ITEMS_REFUSED_STATUS, InputRefused, NoInput, UsageError, writing
from voxlate.experiments.plan import Step
from voxlate.io.atomic import sha256, write_json
from voxlate.io.documents import InvalidDocument, json_sha256, parse_yaml, read_text
from voxlate.jobs.locking import lock
from voxlate.jobs.results import read_result
from voxlate.jobs.states import DONE, FAILED, PENDING, REFUSED, State
from voxlate.threads import free_cores, thread_variables

RECORDS, LOGS = "steps", "logs"

_REFUSALS = frozenset({UsageError.exit_status, InputRefused.exit_status, NoInput.exit_status})
"""Exit statuses of a fault of the input or of the settings; all others are faults of the machine or of voxlate."""

_REASON = re.compile(r"^voxlate: [A-Z]+:([A-Z0-9_]+) (.*)$")
"""The one line with which a verb says why it ended."""

_PARALLEL = ("simulate", "prepare", "evaluate")
"""Verbs whose results do not depend on `--jobs`. One that runs alone takes the place of the steps beside it: it gets as
many processes as steps may run at a time, which the memory of the machine must hold anyway."""

_RETRY_SECONDS = 2.0
"""Between two looks at steps that other processes have; steps take minutes. Chosen by hand."""

_LOG_TAIL_BYTES = 8192
"""Read from the end of a log to find that line; messages are shorter than this."""


@dataclass(frozen=True)
class StepOutcome:
    """How a step ended, or that it is pending.

    Attributes:
        name: of the step.
        state: see `voxlate.jobs.states`.
        code, message: why it is not done; a done step with `ITEMS_REFUSED` left some cases out.
        seconds: it took.
        is_reused: whether an earlier run did it.
    """

    name: str
    state: State = PENDING
    code: str = ""
    message: str = ""
    seconds: float = 0.0
    is_reused: bool = False


Watch = Callable[[Step, StepOutcome], None]


def run_plan(
    steps: Sequence[Step],
    folder: Path,
    *,
    jobs: int = 1,
    systems: Collection[str] | None = None,
    watch: Watch | None = None,
) -> dict[str, StepOutcome]:
    """Runs the steps that are not done and returns how each ended.

    A step whose needs failed stays pending; the other systems go on.

    Args:
        steps: in an order in which they can run, see `voxlate.experiments.plan.build_plan`.
        folder: of the experiment; gets `steps/` with a record and `logs/` with the output of each step.
        jobs: number of steps at a time; each uses its share of the processors.
        systems: run the steps of these systems only, and those that all systems share; all without it.
        watch: called with each step as it ends.

    Raises:
        TemporaryFailure, CannotWrite: a record cannot be written.
    """
    prints = fingerprints(steps, folder)
    mine = [step for step in steps if systems is None or not step.system or step.system in systems]
    run = _Run(folder, jobs, prints)
    outcomes = _known(steps, folder, prints, retried={step.name for step in mine})
    waiting = {step.name: step for step in mine if outcomes[step.name].state != DONE}
    tell = watch or (lambda *_: None)
    for step in mine:
        if outcomes[step.name].state == DONE:
            tell(step, outcomes[step.name])
    with ThreadPoolExecutor(jobs) as pool:
        running: dict[Future[StepOutcome | None], Step] = {}
        elsewhere: set[str] = set()  # another process has them; tried again after a while
        try:
            while True:
                ready = _next(waiting, outcomes, running.values(), elsewhere)
                processes = jobs if len(ready) == 1 and not running and not elsewhere else 1
                for step in ready[: jobs - len(running)]:
                    running[pool.submit(run.run, step, _preferred(step, outcomes, prints), processes)] = step
                if not running and not elsewhere and not _learn(steps, folder, prints, outcomes, waiting):
                    return outcomes
                for future in _ended(running, elsewhere):
                    step, outcome = running.pop(future), future.result()
                    if outcome is None:
                        elsewhere.add(step.name)
                        continue
                    outcomes[step.name] = outcome
                    del waiting[step.name]
                    tell(step, outcome)
        except BaseException:
            run.stop()
            raise


def _ended(running: Mapping[Future[StepOutcome | None], Step], elsewhere: set[str]) -> set[Future[StepOutcome | None]]:
    """Waits until a step ends and returns what has ended; nothing when steps elsewhere are to be tried again."""
    if elsewhere and not running:
        time.sleep(_RETRY_SECONDS)  # `wait` does not wait for nothing
    ended = wait(running, _RETRY_SECONDS if elsewhere else None, FIRST_COMPLETED).done
    if not ended:
        elsewhere.clear()
    return ended


def _next(
    waiting: Mapping[str, Step],
    outcomes: Mapping[str, StepOutcome],
    running: Collection[Step],
    elsewhere: Collection[str],
) -> list[Step]:
    """Returns the steps that can be tried now, in the order of the plan."""
    busy = {step.name for step in running} | set(elsewhere)
    return [step for step in waiting.values() if step.name not in busy and _is_ready(step, outcomes, waiting)]


def _learn(
    steps: Sequence[Step],
    folder: Path,
    prints: Mapping[str, str],
    outcomes: dict[str, StepOutcome],
    waiting: Collection[str],
) -> bool:
    """Adds how other processes ended the steps that this one leaves to them; returns whether there is anything new."""
    known = {
        step.name: _recorded(folder, step, prints, _preferred(step, outcomes, prints))
        for step in steps
        if outcomes[step.name].state == PENDING and step.name not in waiting
    }
    new = {name: outcome for name, outcome in known.items() if outcome is not None}
    outcomes.update(new)
    return bool(new)


def fingerprints(steps: Sequence[Step], folder: Path) -> dict[str, str]:
    """Returns a hash of the command of each step and of the steps that it needs; it does not depend on the folder.

    Args:
        steps: in an order in which they can run.
        folder: of the experiment.
    """
    prints: dict[str, str] = {}
    for step in steps:
        words = [word.replace(str(folder), "") for word in step.decisive]
        reads = None if step.reads is None else step.reads.settings
        content: dict[str, Any] = {"argv": words, "reads": reads, "needs": [prints[name] for name in step.needs]}
        content["inputs"] = [_content_sha256(path) if path.is_file() else "" for path in step.inputs]
        if step.recipe is not None:
            content["argv"] = [*words[2:], recipe_text(step.recipe)]  # not the file, whose other parts may change
        prints[step.name] = json_sha256(content)
    return prints


def _content_sha256(path: Path) -> str:
    """Returns a hash of a file; for YAML a hash of its values, so that a changed comment repeats no step."""
    if path.suffix in (".yaml", ".yml"):
        with suppress(InvalidDocument):  # the step itself refuses it
            return json_sha256(parse_yaml(read_text(path)))
    return sha256(path)


@dataclass
class _Run:
    """Runs single steps; `stop` ends all that are running."""

    folder: Path
    jobs: int
    prints: Mapping[str, str]
    processes: set[subprocess.Popen[bytes]] = field(default_factory=set)
    is_stopped: bool = False

    def run(self, step: Step, preferred: Mapping[str, str], processes: int = 1) -> StepOutcome | None:
        """Runs a step under its lock, unless another process did it meanwhile; None while another one does it.

        Args:
            step: to run.
            preferred: see `_preferred`.
            processes: number that a verb of `_PARALLEL` may use; above 1 while no other step can run.
        """
        record = self.folder / RECORDS / f"{step.name}.json"
        with writing(record.name):
            record.parent.mkdir(parents=True, exist_ok=True)
            try:
                handle = lock(record.with_suffix(".lock"))
            except BlockingIOError:
                return None
        try:
            done = _recorded(self.folder, step, self.prints, preferred)
            return (
                done
                if done is not None and done.state == DONE
                else self._run_locked(step, record, preferred, processes)
            )
        finally:
            os.close(handle)

    def stop(self) -> None:
        """Asks the running steps to end; each verb stops at a safe point."""
        self.is_stopped = True
        for process in list(self.processes):
            process.terminate()

    def _run_locked(self, step: Step, record: Path, preferred: Mapping[str, str], processes: int) -> StepOutcome:
        key = self.prints[step.name]
        if record.is_file() and not _is_of(read_result(record, fingerprint=key), preferred):
            _remove(step.output)  # it was made by another command, or from other images
        shown = {"fingerprint": key, "command": self._shown(step)} | ({"preferred": preferred} if step.prefers else {})
        write_json(record, {**shown, "state": PENDING})
        began = time.monotonic()
        status, code, message = self._execute(step, processes)
        seconds = round(time.monotonic() - began, 1)
        if status in (0, ITEMS_REFUSED_STATUS):
            state = DONE
            code, message = ("", "") if status == 0 else ("ITEMS_REFUSED", f"some cases were left out; see {LOGS}")
        else:
            state = REFUSED if status in _REFUSALS else FAILED
        outcome = StepOutcome(step.name, state, code, message, seconds)
        write_json(
            record,
            {**shown, "state": state, "code": code, "message": message, "seconds": seconds, "exit_status": status},
        )
        return outcome

    def _execute(self, step: Step, processes: int) -> tuple[int, str, str]:
        """Returns the exit status of a step, with the code and message of its failure."""
        if step.reads is not None:
            try:
                step.reads.write()
            except (InputRefused, NoInput) as error:
                return error.exit_status, error.code, error.message
        log = self.folder / LOGS / f"{step.name}.log"
        with writing(log.name):
            log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            began = stream.tell()
            process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "voxlate", *step.argv, *_processes_of(step, processes)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=self._environment(),
            )
            self.processes.add(process)
            if self.is_stopped:
                process.terminate()
            status = process.wait()
            self.processes.discard(process)
        return (status, *_reason(log, status, began))

    def _environment(self) -> dict[str, str]:
        """Returns the environment of a step: each of the steps at a time has its share of the processors."""
        share = thread_variables(max(1, free_cores() // self.jobs))
        return {"OMP_WAIT_POLICY": "PASSIVE"} | dict(os.environ) | share

    def _shown(self, step: Step) -> str:
        """Returns the command with paths relative to the folder of the experiment."""
        return step.command.replace(f"{self.folder}/", "")


def _processes_of(step: Step, count: int) -> tuple[str, ...]:
    """Returns the option by which a step works in several processes; nothing where it has none, or has one already."""
    is_given = any(word.startswith(("-j", "--jobs")) for word in step.argv)
    return () if count == 1 or is_given or step.argv[0] not in _PARALLEL else ("--jobs", str(count))


def _known(
    steps: Sequence[Step], folder: Path, prints: Mapping[str, str], *, retried: Collection[str]
) -> dict[str, StepOutcome]:
    """Returns how earlier runs ended the steps; a step that prefers one that is tried again is pending."""
    outcomes: dict[str, StepOutcome] = {}
    for step in steps:
        is_open = any(outcomes[name].state != DONE and name in retried for name in step.prefers)
        known = None if is_open else _recorded(folder, step, prints, _preferred(step, outcomes, prints))
        outcomes[step.name] = known or StepOutcome(step.name)
    return outcomes


def _preferred(step: Step, outcomes: Mapping[str, StepOutcome], prints: Mapping[str, str]) -> dict[str, str]:
    """Returns the fingerprints of the done steps among those that a step prefers: what its result shows."""
    return {name: prints[name] for name in step.prefers if outcomes[name].state == DONE}


def _is_of(content: Mapping[str, Any] | None, preferred: Mapping[str, str]) -> bool:
    """Returns whether a record was made from these steps; one of an earlier version does not tell, and counts."""
    return content is not None and content.get("preferred", preferred) == preferred


def _recorded(folder: Path, step: Step, prints: Mapping[str, str], preferred: Mapping[str, str]) -> StepOutcome | None:
    """Returns how an earlier run ended a step with the same command and the same preferred steps, or None."""
    content = read_result(folder / RECORDS / f"{step.name}.json", fingerprint=prints[step.name])
    if content is None or not _is_of(content, preferred) or content.get("state") not in (DONE, REFUSED, FAILED):
        return None
    return StepOutcome(
        step.name,
        State(content["state"]),
        str(content.get("code", "")),
        str(content.get("message", "")),
        float(content.get("seconds", 0)),
        is_reused=True,
    )


def _is_ready(step: Step, outcomes: Mapping[str, StepOutcome], waiting: Mapping[str, Step]) -> bool:
    """Returns whether a step can run now: its needs are done, and what it prefers has ended or cannot run any more."""
    if any(outcomes[name].state != DONE for name in step.needs):
        return False

    def may_end(name: str) -> bool:
        if name in waiting:
            return all(outcomes[need].state == DONE or may_end(need) for need in waiting[name].needs)
        return outcomes[name].state == PENDING  # another process has it

    return not any(may_end(name) for name in step.prefers)


def _reason(log: Path, status: int, began: int) -> tuple[str, str]:
    """Returns the code and message of the last line in which a verb said why it ended.

    Args:
        log: of all runs of the step.
        status: exit status of the last one.
        began: size of the log before it.
    """
    if status in (0, ITEMS_REFUSED_STATUS):
        return "", ""
    with log.open("rb") as stream:
        stream.seek(max(began, log.stat().st_size - _LOG_TAIL_BYTES))
        lines = stream.read().decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        found = _REASON.match(line.strip())
        if found:
            return found[1], found[2]
    shown = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if status < 0:
        return "KILLED", f"the process was ended by signal {-status}, perhaps out of memory"
    return "STEP", f"exit status {status}: {shown}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
