"""The state of a window."""

import numpy as np
import pytest

from ovs3d.language.presence import FOUND
from ovs3d.viewer.scene import OpenScene
from ovs3d.viewer.session import Session
from tests.viewer.builders import MOST_CHARACTERS, give_volume


@pytest.fixture
def session(opened: OpenScene) -> Session:
    give_volume(opened)
    return Session(opened)


def test_a_text_that_is_there_is_shown(session: Session) -> None:
    line = session.ask("  left ", "right, , far away")
    assert line == "'left': found, score 0.90, 50.0% of the surface"
    assert session.how.layer == "relevancy"
    assert session.how.answer
    assert session.how.answer.of(np.array([0, 1, -1])).tolist() == pytest.approx([0.9, 0.1, 0])
    volume = session.scene.volume
    assert volume.asked == [(["left"], ["right", "far away"])]  # type: ignore[union-attr]


def test_a_text_that_is_not_there_is_said_to_be_missing(session: Session) -> None:
    assert session.ask("elephant") == f"'elephant': not found, score 0.20 of {FOUND:.2f}"
    assert "does not seem to know these words" in session.ask("xyzzy")


@pytest.mark.parametrize("text", ["", "   ", "x" * 10_000], ids=["empty", "blank", "long"])
def test_a_text_that_cannot_be_looked_for_changes_nothing(text: str, session: Session) -> None:
    session.ask("left")
    before = session.how
    line = session.ask(text)
    assert "\n" not in line
    assert len(line) <= 240
    assert session.how is before
    assert line == "type what to look for" or line.startswith("'xxx")


def test_a_long_text_is_cut_short_in_the_answer(session: Session) -> None:
    line = session.ask("y" * MOST_CHARACTERS)
    assert f"'{'y' * 40}...': not found" in line


def test_without_a_language_volume_the_answer_says_what_to_do(opened: OpenScene) -> None:
    assert "stage lift" in Session(opened).ask("left")


def test_layers_and_hidden_labels_are_kept_apart(session: Session) -> None:
    session.show("labels")
    session.hide([1])
    assert (session.how.layer, session.how.hidden) == ("labels", frozenset({1}))
    other = Session(session.scene)
    assert (other.how.layer, other.how.hidden) == ("colours", frozenset())


def test_a_photo_is_compared_with_as_long_as_the_camera_stays(session: Session) -> None:
    camera = session.jump(2, 96, 72)
    plain = session.picture(camera)
    session.compare = 1.0
    assert not np.array_equal(session.picture(camera), plain)
    session.leave_photo_unless_at(camera)
    assert not np.array_equal(session.picture(camera), plain)
    session.leave_photo_unless_at(camera.behind(0.1))
    assert np.array_equal(session.picture(camera), plain)
