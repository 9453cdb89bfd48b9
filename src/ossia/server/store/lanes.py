"""The threads that touch the file: one that writes, one that reads.

Work waits in a queue. The writer commits what is queued in one transaction, so that many writers share the
wait for the disk; each piece of work fails alone, and is answered only after the commit. It knows no table.
"""

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from ossia.server.store.database import transaction, typed

_GROUP = 256  # pieces of work in one commit
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work[Any]
    done: Future[Any]


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class Lane:
    """A thread with a connection of its own; `writes`: what is queued goes into one transaction."""

    def __init__(self, db: sqlite3.Connection, path: Path, *, writes: bool) -> None:
        self._db, self._path, self._writes = db, path, writes
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        name = f"ossia-store-{'writer' if writes else 'reader'}"
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> Future[T]:
        """Queue `work`; the future is done when its result is durable. Raises what `work` raises, with
        SQLite's errors typed."""
        assert not self._closed, "the store is closed"
        done: Future[T] = Future()
        done.set_running_or_notify_cancel()  # from now on nobody can cancel it
        self._queue.put(_Job(work, done))
        return done

    def close(self) -> None:
        """Finish what is queued and close the connection."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while jobs := self._next():
            outcomes = self._write(jobs) if self._writes else [self._attempt(job) for job in jobs]
            for job, outcome in zip(jobs, outcomes, strict=True):
                if isinstance(outcome, _Failed):
                    job.done.set_exception(self._typed(outcome.error))
                else:
                    job.done.set_result(outcome)
        self._db.close()

    def _next(self) -> list[_Job]:
        """What is queued, waiting for the first; empty where the lane is being closed."""
        jobs: list[_Job] = []
        while len(jobs) < (_GROUP if self._writes else 1) and (not jobs or not self._queue.empty()):
            job = self._queue.get()
            if job is None:
                if jobs:  # first what was queued before
                    self._queue.put(None)
                break
            jobs.append(job)
        return jobs

    def _write(self, jobs: list[_Job]) -> list[Any]:
        try:
            with transaction(self._db):
                return [self._attempt_alone(job) for job in jobs]
        except Exception as error:
            return [_Failed(error)] * len(jobs)

    def _attempt_alone(self, job: _Job) -> Any:
        self._db.execute("SAVEPOINT job")
        outcome = self._attempt(job)
        if isinstance(outcome, _Failed):
            if not self._db.in_transaction:  # a full disk takes back what the others wrote, too
                raise outcome.error
            self._db.execute("ROLLBACK TO job")
        self._db.execute("RELEASE job")
        return outcome

    def _attempt(self, job: _Job) -> Any:
        try:
            return job.work(self._db)
        except Exception as error:
            return _Failed(error)

    def _typed(self, error: Exception) -> Exception:
        return typed(error, self._path) if isinstance(error, sqlite3.Error) else error
