"""`ovs3d query`: words become one more label of a trained segmentation."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ovs3d.apps.cli import main
from ovs3d.apps.query import (
    add_query,
    file_stem,
    pairwise_relevancy,
    query_figure,
    verdict,
)
from ovs3d.errors import StoreError

LABELS = ("red apple", "wall")
TEXT = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
QUERY = torch.tensor([[0.8, 0.6, 0.0]])
# Two pixels of the first label, one of the second, one that only the words describe.
SCORES = np.array(
    [[0.9, 0.1, 0.7], [0.8, 0.1, 0.5], [0.1, 0.9, 0.2], [0.1, 0.3, 0.6]], dtype=np.float32
)


def model() -> Any:
    """Return what `add_query` and `verdict` use of a segmentation."""
    return SimpleNamespace(labels=LABELS, text=TEXT, text_center=torch.zeros(3))


def test_words_become_the_last_label() -> None:
    found = model()
    add_query(found, "fruit", LABELS, torch.cat((TEXT, QUERY)))
    assert found.labels == ("red apple", "wall", "fruit")
    assert torch.equal(found.text, torch.cat((TEXT, QUERY)))


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        pytest.param(LABELS, torch.cat((TEXT.flip(0), QUERY)), id="other weights or phrases"),
        pytest.param(LABELS, torch.eye(4)[:3], id="other D"),
        pytest.param((*LABELS, "car"), torch.eye(3)[[0, 1, 2, 2]], id="one more label"),
        pytest.param(("wall", "red apple"), torch.cat((TEXT, QUERY)), id="other names"),
    ],
)
def test_other_labels_or_another_clip_model_are_told(
    labels: tuple[str, ...], text: torch.Tensor
) -> None:
    with pytest.raises(StoreError, match="with other labels, another CLIP model or other templ"):
        add_query(model(), "fruit", labels, text)


def test_relevancy_is_a_half_where_words_and_strongest_label_are_equal() -> None:
    logits = np.array([[0.2, 0.5, 0.5], [0.2, 0.5, 0.6], [0.9, 0.0, 0.0]], dtype=np.float32)
    expected = [0.5, 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(9))]
    np.testing.assert_allclose(pairwise_relevancy(logits), expected, rtol=1e-5)


def test_verdict_names_what_the_words_come_closest_to() -> None:
    found = model()
    add_query(found, "fruit", LABELS, torch.cat((TEXT, QUERY)))
    line = verdict(SCORES, found)
    assert "'fruit' beats every label on 25.0% of the pixels" in line
    assert "fits best where 'red apple' is (mean cosine 0.60)" in line
    assert line.endswith("as a text it is closest to 'red apple' (0.80)")


def test_verdict_without_anything_seen_says_so() -> None:
    found = model()
    add_query(found, "fruit", LABELS, torch.cat((TEXT, QUERY)))
    assert verdict(SCORES[:0], found).startswith("no ray of these views meets anything")


def test_figure_shows_where_the_words_win() -> None:
    logits = np.full((40, 240, 3), 0.2, dtype=np.float32)
    logits[:20, :, 2] = 1.2
    figure = np.asarray(query_figure(np.zeros((40, 240, 3), np.uint8), logits, "view 0", "fruit"))
    bright = (figure == (253, 231, 37)).all(axis=-1)
    # The upper half of the last panel, which is stretched to its own range.
    assert bright[:, 2 * 248 :].sum() == 20 * 240


@pytest.mark.parametrize("words", ["", "  ", "\n\t", '""'])
def test_no_words_are_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "demo", words]) == 2
    assert "query: no words; say what to look for" in capsys.readouterr().err


def test_a_picture_has_a_name_that_can_be_seen_and_saved() -> None:
    assert file_stem("red fruit") == "red fruit"
    assert file_stem("salt/pepper") == "salt pepper"
    assert file_stem("../.hidden") == "hidden"
    assert file_stem(".") == "words"
    long = "\u00e9" * 300
    assert len(file_stem(long).encode()) < 100
    assert file_stem(long) != file_stem(long + "!")
    assert file_stem(long).startswith("\u00e9" * 40 + "-")
