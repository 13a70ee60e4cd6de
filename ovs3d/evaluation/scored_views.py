"""Which views of a scene are scored: those that steer choices and those that are reported."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ovs3d.errors import PosesError, SceneError
from ovs3d.photos.views import spread_out
from ovs3d.sections import Split

_STAND_INS = 5
"""Training views that are scored when a scene holds out none; the paper scores 5 (Sec. A.4)."""


@dataclass(frozen=True)
class ScoredViews:
    """Views whose scores are averaged together.

    Attributes:
        kind: of the views; `training` where a scene holds out none.
        views: photo indices, sorted, all with a pose.
        split: which views were trained on.
        trained_on: training saw these.
        text: what a reader of the scores must know about them.
    """

    kind: Literal["validation", "test", "training"]
    views: tuple[int, ...]
    split: Split
    trained_on: bool
    text: str


@dataclass(frozen=True)
class ViewsToScore:
    """The views of `metrics.json` and those of `test.json`.

    Attributes:
        choosing: the validation views; those of `reporting` where a scene has none.
        reporting: the test views; none where a scene has validation views only.
    """

    choosing: ScoredViews
    reporting: ScoredViews

    @property
    def all(self) -> tuple[int, ...]:
        """Every view that is scored, once."""
        return tuple(dict.fromkeys((*self.choosing.views, *self.reporting.views)))


def choose_views(
    val_views: Sequence[int],
    test_views: Sequence[int],
    masked: Collection[int],
    registered: Collection[int],
    split: Split,
) -> ViewsToScore:
    """Decide which views are scored: the validation and test views that have a pose.

    With `split: paper` all views are trained on, so further views with masks are test views too.
    A scene that holds out nothing and has no masks is scored on a few evenly spaced views.

    Args:
        val_views: `val_views` of the scene.
        test_views: `test_views` of the scene.
        masked: views that have masks.
        registered: views that have a pose.
        split: which views were trained on.

    Raises:
        SceneError: a view with masks was trained on although the split holds out.
        PosesError: none of the validation views, or of the test views, has a pose.
    """
    leaked = sorted(set(masked) - {*val_views, *test_views})
    if leaked and split == "held_out":
        names = ", ".join(str(view) for view in leaked)
        raise SceneError(
            f"views with masks were trained on: {names}; add them to test_views or val_views of "
            "the scene in params.yaml, or set split: paper to score trained views"
        )
    wanted = sorted({*test_views, *masked} - {*val_views})
    test = _placed("test", wanted, registered, split)
    if val_views:
        validation = _placed("validation", sorted(val_views), registered, split)
        text = f"{validation.text}; test.json has the scores of the test views"
        return ViewsToScore(replace(validation, text=text), test)
    if wanted:
        test = replace(test, text=f"{test.text}; the scene has no validation views")
    else:
        test = _stand_ins(registered, split)
    return ViewsToScore(test, test)


def _placed(
    kind: Literal["validation", "test"],
    wanted: Sequence[int],
    registered: Collection[int],
    split: Split,
) -> ScoredViews:
    if not wanted:
        return ScoredViews(kind, (), split, False, f"no {kind} views")
    views = tuple(view for view in wanted if view in registered)
    if not views:
        names = ", ".join(str(view) for view in wanted)
        raise PosesError(f"none of the {kind} views has a camera pose ({names}); choose other ones")
    trained_on = split == "paper"
    text = f"{kind} views, {'trained on too' if trained_on else 'held out of training'}"
    missing = len(wanted) - len(views)
    return ScoredViews(
        kind, views, split, trained_on, text + (f"; {missing} without a pose" if missing else "")
    )


def _stand_ins(registered: Collection[int], split: Split) -> ScoredViews:
    views = tuple(spread_out(sorted(registered), _STAND_INS))
    return ScoredViews("training", views, split, True, "training views (the scene holds out none)")
