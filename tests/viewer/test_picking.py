"""What is under the mouse."""

import numpy as np
import pytest

from ovs3d.viewer.controls import describe
from ovs3d.viewer.paint import Look
from ovs3d.viewer.picking import pick
from ovs3d.viewer.pictures import draw
from ovs3d.viewer.scene import OpenScene
from ovs3d.viewer.session import Session
from tests.viewer.builders import CENTRES, RADIUS, front, give_volume, pixel_of


def place(point: tuple[float, float, float]) -> tuple[float, float]:
    row, column = pixel_of(point, front())
    return (column + 0.5) / front().width, (row + 0.5) / front().height


def test_a_click_finds_label_score_and_place(opened: OpenScene) -> None:
    picked = pick(opened, Look(), front(), place(CENTRES[1]))
    assert picked
    assert [label for label, _ in picked.scores] == ["right", "left"]
    assert picked.scores[0][1] == pytest.approx(1, abs=0.02)
    assert picked.scores[1][1] == pytest.approx(0, abs=0.02)
    assert picked.depth == pytest.approx(CENTRES[1][2] - RADIUS, abs=0.1)
    assert picked.position[2] == pytest.approx(picked.depth)
    assert picked.relevancy is None
    assert describe(picked).startswith("**right**, cosine 1.00")


def test_a_click_on_nothing_or_on_what_is_hidden_finds_nothing(opened: OpenScene) -> None:
    assert pick(opened, Look(), front(), (0.5, 0.02)) is None
    assert pick(opened, Look(hidden=frozenset({1})), front(), place(CENTRES[1])) is None
    assert pick(opened, Look(), front(), (1.0, 1.0)) is None


def test_a_click_just_beside_something_means_it(opened: OpenScene) -> None:
    camera = front()
    shown = draw(opened.surface, frozenset(), camera).splat[pixel_of(CENTRES[1], camera)[0]] >= 0
    edge = int(np.flatnonzero(shown).max())
    row = place(CENTRES[1])[1]
    near, far = (
        pick(opened, Look(), camera, ((edge + away) / camera.width, row)) for away in (2, 9)
    )
    assert near
    assert near.scores[0][0] == "right"
    assert far is None


def test_after_a_text_its_relevancy_is_told(opened: OpenScene) -> None:
    give_volume(opened)
    session = Session(opened)
    session.ask("left")
    picked = pick(opened, session.how, front(), place(CENTRES[0]))
    assert picked
    assert picked.relevancy == pytest.approx(0.9)
    assert "relevancy 0.90" in describe(picked)
