"""Which views of a scene are trained on, which steer choices, which are reported."""

from collections.abc import Sequence
from dataclasses import dataclass

from ovs3d.errors import SceneError
from ovs3d.sections import Split


@dataclass(frozen=True)
class ViewSplit:
    """The views of a scene by their use, each sorted.

    Attributes:
        train: trained on.
        val: scored to compare parameters and prompts.
        test: scored to report.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def scored(self) -> tuple[int, ...]:
        """The views whose scores may be looked at while choosing."""
        return self.val or self.test

    @property
    def held_out(self) -> tuple[int, ...]:
        """Validation and test views."""
        return tuple(sorted((*self.val, *self.test)))


def spread_out(views: Sequence[int], most: int) -> list[int]:
    """Choose at most so many views, evenly spaced: each in the middle of its share of them."""
    count = min(most, len(views))
    return [views[(2 * k + 1) * len(views) // (2 * count)] for k in range(count)]


def split_views(
    count: int, val_views: Sequence[int], test_views: Sequence[int], split: Split
) -> ViewSplit:
    """Divide the views of a scene.

    Args:
        count: number of photos.
        val_views: view indices of validation, disjoint from `test_views`.
        test_views: view indices of the test.
        split: `held_out` keeps both out of training, `paper` trains on all views.

    Raises:
        SceneError: a view does not exist, or none is left to train on.
    """
    for key, views in (("test_views", test_views), ("val_views", val_views)):
        outside = [view for view in views if not 0 <= view < count]
        if outside:
            raise SceneError(
                f"{key} names view {outside[0]}, but the {count} photos are views 0 to {count - 1}"
            )
    held_out = {*val_views, *test_views}
    train = tuple(view for view in range(count) if split == "paper" or view not in held_out)
    if not train:
        keys = "test_views and val_views hold" if val_views else "test_views holds"
        raise SceneError(f"{keys} out all {count} photos; leave some to train on")
    return ViewSplit(train, tuple(sorted(val_views)), tuple(sorted(test_views)))
