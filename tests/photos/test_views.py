"""Which views are trained on, which are scored."""

import re

import pytest

from ovs3d.errors import SceneError
from ovs3d.photos.views import ViewSplit, split_views, spread_out


def test_neither_validation_nor_test_views_are_trained_on() -> None:
    split = split_views(6, (5, 2), (3, 1), "held_out")
    assert split == ViewSplit(train=(0, 4), val=(2, 5), test=(1, 3))
    assert split.held_out == (1, 2, 3, 5)


def test_choices_are_made_by_validation_views_where_there_are_some() -> None:
    assert split_views(6, (2,), (3, 1), "held_out").scored == (2,)
    assert split_views(6, (), (3, 1), "held_out").scored == (1, 3)


def test_the_papers_split_trains_on_all() -> None:
    assert split_views(4, (2,), (1,), "paper") == ViewSplit((0, 1, 2, 3), (2,), (1,))


@pytest.mark.parametrize(
    ("val", "test", "message"),
    [
        ((), (1, 5), "test_views names view 5, but the 5 photos are views 0 to 4"),
        ((-1,), (1,), "val_views names view -1, but the 5 photos are views 0 to 4"),
        ((), range(5), "test_views holds out all 5 photos; leave some to train on"),
        ((4,), range(4), "test_views and val_views hold out all 5 photos"),
    ],
)
def test_a_split_that_cannot_be_is_one_clear_line(
    val: tuple[int, ...], test: tuple[int, ...], message: str
) -> None:
    with pytest.raises(SceneError, match=re.escape(message)):
        split_views(5, val, test, "held_out")


def test_views_are_spread_out() -> None:
    assert spread_out(range(30), 2) == [7, 22]
    assert spread_out([4], 2) == [4]
    assert spread_out(range(4), 4) == [0, 1, 2, 3]
