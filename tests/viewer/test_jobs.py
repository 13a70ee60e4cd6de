"""Jobs outlive whoever asked for them."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from ovs3d.errors import SceneError
from ovs3d.files import atomic_path
from ovs3d.viewer.jobs import Job, Jobs

Advance = Callable[[float], None]
SECONDS = 60


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    found = Jobs()
    yield found
    found.stop()


def ignore(_: Job) -> None:
    """Do nothing at the end of a job."""


def writes(path: Path) -> Callable[[Advance], Path]:
    def work(advance: Advance) -> Path:
        advance(0.5)
        path.write_text("done")
        return path

    return work


def test_a_job_tells_how_far_it_is_and_where_its_file_is(
    jobs: Jobs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    ended: list[Job] = []
    finished = Event()
    stop = jobs.on_change(lambda job: lines.append(job.line()))

    def done(job: Job) -> None:
        ended.append(job)
        finished.set()

    job = jobs.submit("video", writes(tmp_path / "video.mp4"), done)
    assert finished.wait(SECONDS)
    assert ended == [job]
    assert lines == ["video: 50%", f"video: {tmp_path / 'video.mp4'}"]
    assert lines[-1] in capsys.readouterr().out
    stop()
    again = jobs.submit("again", writes(tmp_path / "again.mp4"), ignore)
    assert again.finished.wait(SECONDS)
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SceneError("photo 3 is damaged"), "picture: failed (photo 3 is damaged)"),
        (OSError(errno.ENOSPC, "No space left"), "the disk or the quota is full"),
        (ZeroDivisionError("a mistake of ours"), "picture: failed (a mistake of ours)"),
    ],
)
def test_a_job_that_fails_says_why_and_the_next_one_runs(
    error: Exception, line: str, jobs: Jobs, tmp_path: Path
) -> None:
    def fail(_: Advance) -> Path:
        raise error

    failed = jobs.submit("picture", fail, ignore)
    job = jobs.submit("points", writes(tmp_path / "points.ply"), ignore)
    assert job.finished.wait(SECONDS)
    assert line in failed.line()
    assert failed.file is None
    assert job.file


def test_a_browser_that_is_gone_loses_nothing(jobs: Jobs, tmp_path: Path) -> None:
    def gone(_: Job) -> None:
        raise ConnectionError("closed")

    first = jobs.submit("video", writes(tmp_path / "video.mp4"), gone)
    second = jobs.submit("points", writes(tmp_path / "points.ply"), ignore)
    assert second.finished.wait(SECONDS)
    assert first.file == tmp_path / "video.mp4"
    assert first.file.read_text() == "done"


def test_stop_ends_the_present_job_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    jobs, started = Jobs(), Event()

    def endless(advance: Advance) -> Path:
        with atomic_path(tmp_path / "video.mp4") as temporary:
            temporary.write_text("half")
            while True:
                advance(0.1)
                started.set()

    job = jobs.submit("video", endless, ignore)
    assert started.wait(SECONDS)
    jobs.stop()
    assert job.line() == "video: stopped with the viewer"
    assert list(tmp_path.iterdir()) == []
