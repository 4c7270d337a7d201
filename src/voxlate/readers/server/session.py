"""What a reader may see and answer now: one case after the other, the next one beside it, nothing else."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from voxlate.errors import InputRefused
from voxlate.io.nifti import read_grid
from voxlate.readers.answers import Draft, Submission, require_fit
from voxlate.readers.package import Package, Trial
from voxlate.readers.study import Design
from voxlate.web.answer_log import SERVER, Answer, Store, current, digest_of
from voxlate.web.http_errors import Declined

_JUMP_S = 2.0
MAX_DRAFTS, DRAFT_SECONDS = 300, 0.5
"""Of one case: how many drafts are kept while the server runs, and how far apart. The page sends one a second at most
while a reader types; 300 of 8 kB are 2.4 MB."""

_HIDDEN_FIELDS = {"margin", "repeats", "tolerance_mm", "name"}


class Desk:
    """The reading room of one study."""

    def __init__(self, package: Package, store: Store) -> None:
        self._package = package
        self._store = store
        self._trials = {trial.id: trial for own in package.trials.values() for trial in own}
        self._clock_offset_s = time.time() - time.monotonic()
        self._drafts: dict[str, tuple[int, float]] = {}

    def state(self, reader: str) -> dict[str, Any]:
        """Returns all that the page needs to go on exactly where the reader was."""
        answers = self._store.answers(reader)
        trials, done = self._package.trials[reader], _done(answers)
        study, open_at = self._package.study, self._opens_at(reader, answers)
        now = None if open_at or done == len(trials) else trials[done]
        before = trials[done - 1] if done and study.answers == "changeable" else None
        return {
            "reader": reader,
            "title": study.title,
            "data_kind": study.data_kind,
            "protocol": self._package.protocol_hash[:12],
            "display": study.display.model_dump(mode="json"),
            "levels": study.images.levels,
            "done": done,
            "total": len(trials),
            "opens_at": open_at,
            "trial": self._shown(now),
            "next": self._shown(trials[done + 1]) if now and self._may_prefetch(trials, done) else None,
            "previous": self._shown(before) | {"given": _given(answers, before)} if before else None,
            "draft": self._draft(reader, now),
        }

    def open_page(self, reader: str) -> str:
        """Returns the id of a newly opened window, which is the only one that may answer from now on."""
        page = secrets.token_hex(12)
        self._store.note("page_opened", reader, {"page": page})
        return page

    def submit(self, reader: str, sent: Submission) -> dict[str, Any]:
        """Keeps an answer, once.

        Raises:
            Declined: 404 `TRIAL`, 403 `OTHER_READER`, 409 `OTHER_WINDOW`, `ANSWERED`, `NOT_YET`, `SUBMISSION`,
                `TOO_EARLY`, `WASHOUT`; 422 `ANSWER`.
        """
        self._note_clock()
        trial = self._own_trial(reader, sent.trial)
        answers = self._store.answers(reader)
        body = self._body(sent)
        for earlier in answers:
            if earlier.submission == sent.submission:
                return self._again(earlier, sent, body)
        self._require_window(reader, sent.page)
        self._require_turn(reader, trial, answers)
        design = self._package.study.design(trial.design)
        require_fit(sent.answer, design, read_grid(self._package.image_path(trial.images[0])).shape)
        self._require_seen(sent)
        revision = sum(answer.trial == trial.id for answer in answers)
        try:
            seq = self._store.add_answer(reader, trial.id, sent.submission, body, revision=revision)
        except InputRefused as error:
            if error.code != "ANSWERED":
                raise
            return self._lost_race(reader, sent, body)
        return {"kept": seq, "revision": revision, "again": False}

    def keep_draft(self, reader: str, sent: Draft) -> None:
        """Keeps an unfinished answer.

        Raises:
            Declined: as `submit`, where it applies.
        """
        trial = self._own_trial(reader, sent.trial)
        self._require_window(reader, sent.page)
        self._require_draft_room(trial)
        self._store.note("draft", reader, {"trial": trial.id, "content": sent.content})

    def _require_draft_room(self, trial: Trial) -> None:
        """Keeps the record, from which nothing is removed, within bounds.

        Raises:
            Declined: 429 `SLOW_DOWN`.
        """
        kept, last = self._drafts.get(trial.id, (0, -math.inf))
        now = time.monotonic()
        if kept >= MAX_DRAFTS or now - last < DRAFT_SECONDS:
            raise Declined(429, "SLOW_DOWN", "This draft is not kept; your answer is, when you give it.")
        self._drafts[trial.id] = (kept + 1, now)

    def image(self, reader: str, trial: str, slot: int) -> Path:
        """Returns the file of a panel of the present or the next case.

        Raises:
            Declined: 404 `TRIAL`, `PANEL`; 403 `OTHER_READER`, `NOT_YET`; 409 `WASHOUT`.
        """
        own = self._own_trial(reader, trial)
        if not 0 <= slot < len(own.images):
            raise Declined(404, "PANEL", "There is no such image.")
        answers = self._store.answers(reader)
        done = _done(answers)
        first = done - 1 if self._package.study.answers == "changeable" else done
        if not first <= own.position <= done + 1:
            raise Declined(403, "NOT_YET", "This case is not open now.")
        if self._opens_at(reader, answers) and own.position >= done:
            raise Declined(409, "WASHOUT", "The second session is not open yet.")
        return self._package.image_path(own.images[slot])

    def _own_trial(self, reader: str, trial: str) -> Trial:
        found = self._trials.get(trial)
        if found is None:
            raise Declined(404, "TRIAL", "There is no such case.")
        if found.reader != reader:
            self._store.note("refused", reader, {"code": "OTHER_READER", "trial": trial})
            raise Declined(403, "OTHER_READER", "This case belongs to another reader.")
        return found

    def _require_window(self, reader: str, page: str) -> None:
        latest = self._store.last("page_opened", reader)
        if latest is None or latest["page"] != page:
            raise Declined(409, "OTHER_WINDOW", "The study is open in another window. Go on there, or take over here.")

    def _require_turn(self, reader: str, trial: Trial, answers: Sequence[Answer]) -> None:
        done = _done(answers)
        if trial.position < done:
            is_changeable = self._package.study.answers == "changeable" and trial.position == done - 1
            if not is_changeable:
                self._store.note("refused", reader, {"code": "ANSWERED", "trial": trial.id})
                raise Declined(409, "ANSWERED", "This case has its answer already.")
            return
        if trial.position > done:
            raise Declined(409, "NOT_YET", "Cases are answered in their order.")
        if self._opens_at(reader, answers):
            raise Declined(409, "WASHOUT", "The second session is not open yet.")

    def _require_seen(self, sent: Submission) -> None:
        least = self._package.study.display.minimum_view_s
        viewed = sent.timing.viewed_s
        if least and (viewed is None or viewed < least):
            raise Declined(409, "TOO_EARLY", f"Look at each case for at least {least:g} seconds.")

    def _again(self, earlier: Answer, sent: Submission, body: Mapping[str, Any]) -> dict[str, Any]:
        if earlier.trial != sent.trial or earlier.digest != digest_of(body):
            raise Declined(409, "SUBMISSION", "This submission was already used for another answer.")
        return {"kept": earlier.seq, "revision": earlier.revision, "again": True}

    def _lost_race(self, reader: str, sent: Submission, body: Mapping[str, Any]) -> dict[str, Any]:
        for earlier in self._store.answers(reader):
            if earlier.submission == sent.submission:
                return self._again(earlier, sent, body)
        raise Declined(409, "ANSWERED", "This case has its answer already.")

    def _body(self, sent: Submission) -> dict[str, Any]:
        return {
            "answer": sent.answer.model_dump(mode="json"),
            "comment": sent.comment,
            "timing": sent.timing.model_dump(mode="json"),
            "protocol_sha256": self._package.protocol_hash,
        }

    def _opens_at(self, reader: str, answers: Sequence[Answer]) -> str | None:
        """Returns when the reader's next session opens; None when it is open."""
        washout = self._package.study.washout
        trials, done = self._package.trials[reader], _done(answers)
        if washout.days == 0 or not 0 < done < len(trials) or trials[done].session == trials[done - 1].session:
            return None
        last = next(answer for answer in answers if answer.trial == trials[done - 1].id)
        opens = datetime.fromisoformat(last.time_utc) + timedelta(days=washout.days)
        return opens.isoformat(timespec="minutes") if datetime.now(UTC) < opens else None

    def _may_prefetch(self, trials: Sequence[Trial], done: int) -> bool:
        if done + 1 >= len(trials):
            return False
        return self._package.study.washout.days == 0 or trials[done + 1].session == trials[done].session

    def _shown(self, trial: Trial | None) -> dict[str, Any]:
        if trial is None:
            return {}
        return {
            "id": trial.id,
            "position": trial.position,
            "panels": len(trial.images),
            "design": _public(self._package.study.design(trial.design)),
        }

    def _draft(self, reader: str, trial: Trial | None) -> str | None:
        kept = self._store.last("draft", reader)
        return kept["content"] if trial and kept and kept["trial"] == trial.id else None

    def _note_clock(self) -> None:
        offset_s = time.time() - time.monotonic()
        if abs(offset_s - self._clock_offset_s) > _JUMP_S:
            self._store.note("clock_jump", SERVER, {"seconds": round(offset_s - self._clock_offset_s, 1)})
            self._clock_offset_s = offset_s


def _done(answers: Sequence[Answer]) -> int:
    return len({answer.trial for answer in answers})


def _given(answers: Sequence[Answer], trial: Trial) -> Mapping[str, Any]:
    return next(answer.body for answer in current(answers) if answer.trial == trial.id)


def _public(design: Design) -> dict[str, Any]:
    return design.model_dump(mode="json", exclude=_HIDDEN_FIELDS)
