"""The plot of a confusion matrix shows what there is, whatever the labels are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovs3d.evaluation.confusion import confusion_plot
from ovs3d.plots import save_plot

LABELS = ["green lawn", "red apple", "a label with a very long name that needs its own line"]


def names(counts: np.ndarray, labels: list[str]) -> tuple[list[str], list[str]]:
    """Return the names of rows and columns."""
    (axes,) = confusion_plot(counts, labels).axes
    rows, columns = axes.get_yticklabels(), axes.get_xticklabels()
    return [text.get_text() for text in rows], [text.get_text() for text in columns]


@pytest.mark.parametrize("uncovered", [0, 7])
@pytest.mark.parametrize("unlabelled", [0, 7])
def test_uncovered_and_unlabelled_pixels_are_shown_only_if_there_are_any(
    uncovered: int, unlabelled: int
) -> None:
    counts = np.diag([5, 4, 9, 0])
    counts[3, 0], counts[1, 3] = uncovered, unlabelled
    rows, columns = names(counts, LABELS)
    assert rows == LABELS + ["no mask"] * (uncovered > 0)
    assert columns == LABELS + ["unlabelled"] * (unlabelled > 0)


def test_cells_are_shares_of_their_row() -> None:
    (axes,) = confusion_plot(np.array([[1, 3, 0], [0, 0, 0], [0, 0, 0]]), LABELS[:2]).axes
    assert [text.get_text() for text in axes.texts] == ["25.0", "75.0", "0.0", "0.0"]


def test_any_label_is_drawn_and_the_bytes_are_the_same_twice(tmp_path: Path) -> None:
    # Two dollar signs would begin a formula.
    labels = ["$a$ b_{", "苹果", "_hidden"]
    assert names(np.eye(4, dtype=np.int64), labels)[0] == [
        "$a$ b_{",
        "1 苹果",
        "_hidden",
        "no mask",
    ]
    for name in ("a.png", "b.png"):
        save_plot(confusion_plot(np.eye(4, dtype=np.int64), labels), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert not {"Software", "Creation Time"} & picture.info.keys()
