"""Work that outlives the browser that asked for it: exports and videos, one after another."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

from ovs3d.errors import one_line
from ovs3d.files import no_space_left
from ovs3d.progress import plain_console

Work = Callable[[Callable[[float], None]], Path]
"""Does the work, tells now and then what share of it is done, returns the file that it wrote."""


_PATIENCE = 10
"""Seconds; work that tells nothing of its progress is not waited for, and leaves nothing."""


class Stopped(Exception):  # noqa: N818 - not an error
    """Raised within work when the viewer ends."""


@dataclass(eq=False)
class Job:
    """One piece of work.

    Attributes:
        name: what it makes.
        work: does it.
        done: called at its end.
        share: how much of it is done, in [0, 1].
        file: that it wrote, once it has.
        error: why it did not, in one line.
    """

    name: str
    work: Work
    done: Callable[["Job"], None]
    share: float = 0.0
    file: Path | None = None
    error: str = ""
    finished: Event = field(default_factory=Event)

    def line(self) -> str:
        """Say how far it is."""
        if self.file:
            return f"{self.name}: {self.file}"
        return f"{self.name}: {self.error or format(self.share, '.0%')}"


class Jobs:
    """A queue with one worker.

    Attributes:
        all: jobs since the start, the latest last.
    """

    def __init__(self) -> None:
        self.all: list[Job] = []
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._stop = Event()
        self._listeners: list[Callable[[Job], None]] = []
        self._worker = Thread(target=self._run, daemon=True)
        self._worker.start()

    def submit(self, name: str, work: Work, done: Callable[[Job], None]) -> Job:
        """Queue a job.

        Args:
            name: what it makes.
            work: does it.
            done: called with it at its end.
        """
        job = Job(name, work, done)
        self.all.append(job)
        self._queue.put(job)
        return job

    def on_change(self, call: Callable[[Job], None]) -> Callable[[], None]:
        """Have something called whenever a job moves; returns what ends that."""
        self._listeners.append(call)
        return lambda: self._listeners.remove(call)

    def stop(self) -> None:
        """End the present job where it is, and wait for that."""
        self._stop.set()
        self._queue.put(None)
        self._worker.join(_PATIENCE)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None and not self._stop.is_set():
            self._do(job)

    def _do(self, job: Job) -> None:
        def advance(share: float) -> None:
            if self._stop.is_set():
                raise Stopped
            job.share = share
            self._tell(job)

        try:
            job.file = job.work(advance)
        except Stopped:
            job.error = "stopped with the viewer"
        # Whatever it is: those who look at the scene go on.
        except Exception as error:
            full = "the disk or the quota is full: " if no_space_left(error) else ""
            job.error = f"failed ({full}{one_line(error)})"
        plain_console().print(job.line(), soft_wrap=True)
        job.finished.set()
        self._tell(job)
        _call(job.done, job)

    def _tell(self, job: Job) -> None:
        for call in list(self._listeners):
            _call(call, job)


def _call(call: Callable[[Job], None], job: Job) -> None:
    # Whoever asked may be gone by now; what the job wrote is there all the same.
    with suppress(Exception):
        call(job)
