"""Which views are scored, and in which of the two files."""

from typing import Any

import pytest

from ovs3d.errors import PosesError, SceneError
from ovs3d.evaluation.scored_views import ScoredViews, choose_views


def test_without_validation_views_both_files_are_of_the_test_views() -> None:
    chosen = choose_views((), (4, 1), {1, 4}, range(6), "held_out")
    text = "test views, held out of training; the scene has no validation views"
    assert chosen.choosing == ScoredViews("test", (1, 4), "held_out", False, text)
    assert chosen.reporting == chosen.choosing
    assert chosen.all == (1, 4)


def test_validation_views_steer_choices() -> None:
    chosen = choose_views((5, 2), (4, 1), {1, 2}, range(6), "held_out")
    assert (chosen.choosing.kind, chosen.choosing.views) == ("validation", (2, 5))
    assert (chosen.reporting.kind, chosen.reporting.views) == ("test", (1, 4))
    assert not chosen.choosing.trained_on
    assert chosen.all == (2, 5, 1, 4)


def test_validation_views_may_be_all_that_is_held_out() -> None:
    chosen = choose_views((1,), (), {1}, range(6), "held_out")
    assert chosen.reporting.views == ()
    assert chosen.all == (1,)


def test_masks_of_trained_views_are_refused() -> None:
    message = r"trained on: 2, 5; add them to test_views or val_views"
    with pytest.raises(SceneError, match=message):
        choose_views((3,), (1,), {5, 1, 2, 3}, range(6), "held_out")


def test_all_masks_are_scored_under_the_papers_split() -> None:
    chosen = choose_views((), (1,), {4}, range(6), "paper").choosing
    assert chosen.views == (1, 4)
    assert chosen.trained_on
    both = choose_views((4,), (1,), {4, 5}, range(6), "paper")
    assert (both.choosing.views, both.reporting.views) == ((4,), (1, 5))
    assert both.choosing.trained_on
    assert both.reporting.trained_on


def test_views_without_a_pose_are_left_out() -> None:
    chosen = choose_views((), (1, 4), {1, 4}, (0, 2, 4), "held_out").choosing
    assert chosen.views == (4,)
    assert "; 1 without a pose" in chosen.text
    with pytest.raises(PosesError, match=r"none of the test views has a camera pose \(1, 3\)"):
        choose_views((4,), (3, 1), set(), (0, 2, 4), "held_out")
    with pytest.raises(PosesError, match=r"none of the validation views has a .* pose \(3\)"):
        choose_views((3,), (4,), set(), (0, 2, 4), "held_out")


@pytest.mark.parametrize(
    ("registered", "views"),
    [
        pytest.param(range(30), (3, 9, 15, 21, 27), id="evenly spaced"),
        pytest.param((0, 2, 5), (0, 2, 5), id="fewer than five"),
    ],
)
def test_a_scene_that_holds_out_none_gets_stand_ins(registered: Any, views: Any) -> None:
    chosen = choose_views((), (), set(), registered, "held_out")
    assert chosen.choosing.views == chosen.reporting.views == views
    assert chosen.choosing.kind == "training"
    assert chosen.choosing.trained_on
    assert "holds out none" in chosen.choosing.text
