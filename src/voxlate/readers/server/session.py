"""A reader's session: which case is open, and which answers and images the server accepts or sends.

Cases are answered in their order. A reader may load the images of the open case and, ahead of time, of the next one.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from voxlate.errors import InputRefused
from voxlate.io.documents import json_sha256
from voxlate.io.nifti import read_grid
from voxlate.readers.answers import Draft, Instructed, Submission, require_fit
from voxlate.readers.package import Package, Trial
from voxlate.readers.server.keys import shortcuts
from voxlate.readers.study import Design
from voxlate.web.keyboard import to_json
from voxlate.web.server.answer_log import SERVER, Answer, AnswerLog, latest_revisions
from voxlate.web.server.auth import SESSION_DAYS
from voxlate.web.server.http_errors import HttpRefusal

_CLOCK_JUMP_S = 2.0
"""Smallest change of the system clock that is logged. Chosen by hand; not tuned."""

MAX_DRAFTS, DRAFT_SECONDS = 300, 0.5
"""Most drafts of one case that are kept while the server runs, and least seconds between two of them. The page sends
at most one per second while a reader types; 300 drafts of 8 kB are 2.4 MB."""

_HIDDEN_FIELDS = {"margin", "repeats", "tolerance_mm", "name"}
"""Fields of a design that the page does not need; margin and repeats could influence a reader."""


class ReadingSession:
    """Answers the requests of all readers of one study.

    Args:
        package: the study.
        log: receives answers, drafts and events.
    """

    def __init__(self, package: Package, log: AnswerLog) -> None:
        self._package = package
        self._log = log
        self._trials = {trial.id: trial for own in package.trials.values() for trial in own}
        self._practice = {trial.id: trial for own in package.practice.values() for trial in own}
        self._clock_offset_s = time.time() - time.monotonic()
        self._drafts: dict[str, tuple[int, float]] = {}

    def state(self, reader: str) -> dict[str, Any]:
        """Returns what the page needs to continue where the reader stopped, as a JSON object."""
        answers = self._log.answers(reader)
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
            "previous": self._shown(before) | {"given": _latest_answer(answers, before)} if before else None,
            "draft": self._draft(reader, now),
            "introduction": self._introduction(reader, now or trials[-1]) | {"is_due": self._is_due(reader, now)},
        }

    def _introduction(self, reader: str, trial: Trial) -> dict[str, Any]:
        """Returns what the instructions say about the design of a trial, its keys, and its practice trials."""
        study = self._package.study
        design = study.design(trial.design)
        return {
            "text": study.instructions,
            "design": _public(design),
            "has_source": trial.source is not None,
            "cases": sum(own.design == trial.design for own in self._package.trials[reader]),
            "answers": study.answers,
            "session_days": SESSION_DAYS,
            "keys": to_json(shortcuts(design, study.display)),
            "practice": [self._shown(own) for own in self._package.practice.get(trial.design, ())],
        }

    def _is_due(self, reader: str, now: Trial | None) -> bool:
        """Returns whether the open trial is the reader's first one of its design, without instructions so far."""
        if now is None or not self._is_first(now):
            return False
        last = self._log.last_event("instructed", reader)
        return last is None or last["design"] != now.design

    def _is_first(self, trial: Trial) -> bool:
        own = self._package.trials.get(trial.reader, ())
        return trial == next((other for other in own if other.design == trial.design), None)

    def note_instructed(self, reader: str, sent: Instructed) -> dict[str, bool]:
        """Notes that a reader has read the instructions of a design and finished its practice; once for each design.

        Raises:
            HttpRefusal: 404 `TRIAL`, 403 `OTHER_READER`, 409 `OTHER_WINDOW`, `PRACTICE`, `NOT_YET`.
        """
        trial = self._own_trial(reader, sent.trial)
        self._require_window(reader, sent.page)
        if trial.position != _done(self._log.answers(reader)):
            raise HttpRefusal(409, "NOT_YET", "This case is not open now.")
        is_due = self._is_due(reader, trial)
        if is_due:
            self._log.add_event("instructed", reader, {"design": trial.design})
        return {"kept": is_due}

    def open_page(self, reader: str) -> str:
        """Returns the id of a newly opened window; from now on only this window may answer."""
        page = secrets.token_hex(12)
        self._log.add_event("page_opened", reader, {"page": page})
        return page

    def submit(self, reader: str, sent: Submission) -> dict[str, Any]:
        """Stores an answer. The same submission sent again is stored only once.

        Raises:
            HttpRefusal: 404 `TRIAL`, 403 `OTHER_READER`, 409 `OTHER_WINDOW`, `ANSWERED`, `NOT_YET`, `SUBMISSION`,
                `TOO_EARLY`, `WASHOUT`, `PRACTICE`; 422 `ANSWER`.
        """
        self._note_clock()
        trial = self._own_trial(reader, sent.trial)
        answers = self._log.answers(reader)
        body = self._body(sent)
        for earlier in answers:
            if earlier.submission == sent.submission:
                return self._same_answer(earlier, sent, body)
        self._require_window(reader, sent.page)
        self._require_turn(reader, trial, answers)
        design = self._package.study.design(trial.design)
        require_fit(sent.answer, design, read_grid(self._package.image_path(trial.images[0])).shape)
        self._require_seen(sent)
        revision = sum(answer.trial == trial.id for answer in answers)
        try:
            seq = self._log.add_answer(reader, trial.id, sent.submission, body, revision=revision)
        except InputRefused as error:
            if error.code != "ANSWERED":
                raise
            return self._lost_race(reader, sent, body)
        return {"kept": seq, "revision": revision, "again": False}

    def keep_draft(self, reader: str, sent: Draft) -> None:
        """Stores an unfinished answer.

        Raises:
            HttpRefusal: 404 `TRIAL`, 403 `OTHER_READER`, 409 `OTHER_WINDOW`, `PRACTICE`, 429 `SLOW_DOWN`.
        """
        trial = self._own_trial(reader, sent.trial)
        self._require_window(reader, sent.page)
        self._require_draft_room(trial)
        self._log.add_event("draft", reader, {"trial": trial.id, "content": sent.content})

    def _require_draft_room(self, trial: Trial) -> None:
        """Limits the number of drafts, because nothing is ever removed from the log.

        Raises:
            HttpRefusal: 429 `SLOW_DOWN`.
        """
        kept, last = self._drafts.get(trial.id, (0, -math.inf))
        now = time.monotonic()
        if kept >= MAX_DRAFTS or now - last < DRAFT_SECONDS:
            raise HttpRefusal(429, "SLOW_DOWN", "This draft is not stored; your answer will be, when you send it.")
        self._drafts[trial.id] = (kept + 1, now)

    def image(self, reader: str, trial: str, slot: int) -> Path:
        """Returns the image file of a panel of the open case, of the next one, or of a practice case.

        Args:
            reader: who asks.
            trial: id of the trial.
            slot: panel, 0 from the left; the source, where there is one, is the first.

        Raises:
            HttpRefusal: 404 `TRIAL`, `PANEL`; 403 `OTHER_READER`, `NOT_YET`; 409 `WASHOUT`.
        """
        practised = self._practice.get(trial)
        own = practised or self._own_trial(reader, trial)
        if not 0 <= slot < len(own.panels):
            raise HttpRefusal(404, "PANEL", "There is no such image.")
        if practised is not None:
            return self._package.image_path(own.panels[slot])
        answers = self._log.answers(reader)
        done = _done(answers)
        first = done - 1 if self._package.study.answers == "changeable" else done
        if not first <= own.position <= done + 1:
            raise HttpRefusal(403, "NOT_YET", "This case is not open now.")
        if self._opens_at(reader, answers) and own.position >= done:
            raise HttpRefusal(409, "WASHOUT", "The second session is not open yet.")
        return self._package.image_path(own.panels[slot])

    def _own_trial(self, reader: str, trial: str) -> Trial:
        if trial in self._practice:
            raise HttpRefusal(409, "PRACTICE", "Answers to practice cases are not stored.")
        own = self._trials.get(trial)
        if own is None:
            raise HttpRefusal(404, "TRIAL", "There is no such case.")
        if own.reader != reader:
            self._log.add_event("refused", reader, {"code": "OTHER_READER", "trial": trial})
            raise HttpRefusal(403, "OTHER_READER", "This case belongs to another reader.")
        return own

    def _require_window(self, reader: str, page: str) -> None:
        latest = self._log.last_event("page_opened", reader)
        if latest is None or latest["page"] != page:
            raise HttpRefusal(
                409, "OTHER_WINDOW", "The study is open in another window. Continue there, or take over here."
            )

    def _require_turn(self, reader: str, trial: Trial, answers: Sequence[Answer]) -> None:
        done = _done(answers)
        if trial.position < done:
            is_changeable = self._package.study.answers == "changeable" and trial.position == done - 1
            if not is_changeable:
                self._log.add_event("refused", reader, {"code": "ANSWERED", "trial": trial.id})
                raise HttpRefusal(409, "ANSWERED", "This case is already answered.")
            return
        if trial.position > done:
            raise HttpRefusal(409, "NOT_YET", "Answer the cases in their order.")
        if self._opens_at(reader, answers):
            raise HttpRefusal(409, "WASHOUT", "The second session is not open yet.")

    def _require_seen(self, sent: Submission) -> None:
        least = self._package.study.display.minimum_view_s
        viewed = sent.timing.viewed_s
        if least and (viewed is None or viewed < least):
            raise HttpRefusal(409, "TOO_EARLY", f"Look at each case for at least {least:g} seconds.")

    def _same_answer(self, earlier: Answer, sent: Submission, body: Mapping[str, Any]) -> dict[str, Any]:
        if earlier.trial != sent.trial or earlier.digest != json_sha256(body):
            raise HttpRefusal(409, "SUBMISSION", "This submission was already used for another answer.")
        return {"kept": earlier.seq, "revision": earlier.revision, "again": True}

    def _lost_race(self, reader: str, sent: Submission, body: Mapping[str, Any]) -> dict[str, Any]:
        """Handles an answer for which another request stored its revision in the meantime, perhaps the same answer."""
        for earlier in self._log.answers(reader):
            if earlier.submission == sent.submission:
                return self._same_answer(earlier, sent, body)
        raise HttpRefusal(409, "ANSWERED", "This case is already answered.")

    def _body(self, sent: Submission) -> dict[str, Any]:
        return {
            "answer": sent.answer.model_dump(mode="json"),
            "comment": sent.comment,
            "timing": sent.timing.model_dump(mode="json"),
            "protocol_sha256": self._package.protocol_hash,
        }

    def _opens_at(self, reader: str, answers: Sequence[Answer]) -> str | None:
        """Returns the time at which the reader's next session opens; None when it is open."""
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
            "panels": len(trial.panels),
            "has_source": trial.source is not None,
            "is_first": self._is_first(trial),
            "design": _public(self._package.study.design(trial.design)),
        }

    def _draft(self, reader: str, trial: Trial | None) -> str | None:
        kept = self._log.last_event("draft", reader)
        return kept["content"] if trial and kept and kept["trial"] == trial.id else None

    def _note_clock(self) -> None:
        offset_s = time.time() - time.monotonic()
        if abs(offset_s - self._clock_offset_s) > _CLOCK_JUMP_S:
            self._log.add_event("clock_jump", SERVER, {"seconds": round(offset_s - self._clock_offset_s, 1)})
            self._clock_offset_s = offset_s


def _done(answers: Sequence[Answer]) -> int:
    """Returns the number of answered trials."""
    return len({answer.trial for answer in answers})


def _latest_answer(answers: Sequence[Answer], trial: Trial) -> Mapping[str, Any]:
    return next(answer.body for answer in latest_revisions(answers) if answer.trial == trial.id)


def _public(design: Design) -> dict[str, Any]:
    return design.model_dump(mode="json", exclude=_HIDDEN_FIELDS)
