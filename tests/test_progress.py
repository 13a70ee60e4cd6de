import pytest

from ovs3d import progress as module
from ovs3d.progress import progress, summary_table


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_progress_in_a_log_is_a_line_every_ten_seconds_and_one_at_the_end(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("CLIP windows", 1000, "windows") as advance:
        for step in range(6):
            clock.now += 4
            advance(100, note=f"{step}.png")
        advance(400, note="last.png")
    assert capsys.readouterr().err.splitlines() == [
        "CLIP windows: 300/1000, 25.0 windows/s, 28 s left 2.png",
        "CLIP windows: 600/1000, 25.0 windows/s, 16 s left 5.png",
        "CLIP windows: 1000/1000, 41.7 windows/s, 0 s left last.png",
    ]


def test_progress_of_nothing_is_one_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("views", 0, "views"):
        pass
    assert clock.now == 100
    assert capsys.readouterr().err == "views: 0/0, 0.0 views/s, 0 s left\n"


def test_progress_on_a_terminal_is_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("views", 3, "views") as advance:
        advance(3, note="last.png")
    shown = capsys.readouterr().err
    assert "\x1b[" in shown
    assert "3/3" in shown


def test_a_users_words_are_printed_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary_table("scene [bold]", {"iou of mug [red]": 0.5, "labels": "mug [/red] :apple:"})
    shown = capsys.readouterr().out
    for words in ("scene [bold]", "iou of mug [red]", "mug [/red] :apple:"):
        assert words in shown
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("views", 3, "views") as advance:
        advance(3, note="a [red].jpg")
    assert "a [red].jpg" in capsys.readouterr().err
