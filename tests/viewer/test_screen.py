"""Coarse while the camera moves, fine at rest."""

from queue import Empty, SimpleQueue

import numpy as np
import pytest

from ovs3d.viewer.pictures import Picture
from ovs3d.viewer.scene import OpenScene
from ovs3d.viewer.screen import MOVING_PIXELS, RESTING_PIXELS, Screen
from ovs3d.viewer.session import Session
from tests.viewer.builders import front

SECONDS = 60


class Sent:
    """What a screen sends."""

    def __init__(self, session: Session) -> None:
        self.queue: SimpleQueue[tuple[Picture, bool]] = SimpleQueue()
        self.lines: list[str] = []
        self.screen = Screen(session, lambda *sent: self.queue.put(sent), self.lines.append)
        self.screen.start()

    def next(self) -> tuple[Picture, bool]:
        return self.queue.get(timeout=SECONDS)

    def end(self) -> None:
        self.screen.close()
        self.screen.join(SECONDS)
        assert not self.screen.is_alive()


def test_at_rest_a_picture_from_the_field_replaces_the_splats(opened: OpenScene) -> None:
    sent = Sent(Session(opened))
    sent.screen.move(front())
    moving, resting, refined = (sent.next() for _ in range(3))
    assert [moving[1], resting[1], refined[1]] == [False, True, True]
    assert not np.array_equal(resting[0], refined[0])
    # Another layer of the same view needs no rays.
    sent.screen.session.show("labels")
    sent.screen.redraw()
    assert sent.next()[0].shape == moving[0].shape
    sent.end()


def test_with_hidden_labels_the_splats_stay(opened: OpenScene) -> None:
    session = Session(opened)
    session.hide([0])
    sent = Sent(session)
    sent.screen.move(front())
    assert [sent.next()[1], sent.next()[1]] == [False, True]
    with pytest.raises(Empty):
        sent.queue.get(timeout=1)
    sent.end()


def test_large_windows_get_fewer_pixels_while_they_move(opened: OpenScene) -> None:
    session = Session(opened)
    session.hide([0])
    sent = Sent(session)
    sent.screen.move(front(2560, 1440))
    (moving, _), (resting, _) = sent.next(), sent.next()
    assert moving.shape[0] * moving.shape[1] <= MOVING_PIXELS * 1.01
    assert moving.size < resting.size
    assert resting.shape[0] * resting.shape[1] <= RESTING_PIXELS * 1.01
    sent.end()


def test_what_cannot_be_drawn_is_told_and_the_next_picture_comes(opened: OpenScene) -> None:
    session = Session(opened)
    session.hide([0])
    session.jump(2, 96, 72)
    session.compare = 0.5
    assert opened.photos
    opened.photos.paths[2].write_bytes(b"no photo any more")
    sent = Sent(session)
    sent.screen.move(session.jump(2, 96, 72))
    while not sent.lines:
        with pytest.raises(Empty):
            sent.queue.get(timeout=0.1)
    assert opened.photos.paths[2].name in sent.lines[0]
    session.compare = 0.0
    sent.screen.redraw()
    assert sent.next()[1] is False
    sent.end()
