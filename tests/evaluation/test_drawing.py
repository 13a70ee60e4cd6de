"""Labels in any script are told apart in figures."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.evaluation import figures
from ovs3d.evaluation.competition import prompt_figure
from ovs3d.evaluation.drawing import distinct, text_line

PHOTO = np.zeros((60, 80, 3), np.uint8)


@pytest.mark.parametrize(
    "labels",
    [
        ["red apple", "blue mug"],
        ["Tür", "Tor", "Größe", "naïve café"],
        ["яблоко", "стена", "μήλο", "τοίχος"],
    ],
    ids=["english", "umlauts", "cyrillic and greek"],
)
def test_letters_of_the_font_are_drawn_as_they_are(labels: list[str]) -> None:
    assert distinct(labels) == labels
    boxes = text_line("\U0010ffff" * 4, 240).tobytes()
    assert boxes not in {text_line(label, 240).tobytes() for label in labels}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["苹果", "wall", "桌子"], ["0 苹果", "wall", "2 桌子"]),
        (["mug", "red 杯"], ["mug", "1 red 杯"]),
        # Latin and Cyrillic letters of one shape.
        (["oak", "wall", "\u043eak"], ["0 oak", "wall", "2 \u043eak"]),
        (["apple on the left", "apple on the right"], ["apple on the left", "apple on the right"]),
        (
            ["the second green apple from the left", "the second green apple from the right"],
            ["0 the second green apple from the left", "1 the second green apple from the right"],
        ),
    ],
    ids=["chinese", "one letter lacks", "look-alikes", "long", "alike where a title ends"],
)
def test_labels_that_could_be_mistaken_are_numbered(labels: list[str], expected: list[str]) -> None:
    assert distinct(labels) == expected
    assert len({text_line(label, 180).tobytes() for label in distinct(labels)}) == len(labels)


@pytest.mark.parametrize(
    "draw",
    [
        lambda labels: figures.comparison(PHOTO, None, PHOTO[..., 0], labels),
        lambda labels: figures.logits_figure(PHOTO, np.zeros((60, 80, 2), np.float32), labels),
        lambda labels: prompt_figure(PHOTO, torch.zeros(2, 1, 60, 80), labels, ["s"], ""),
    ],
    ids=["comparison", "logits", "prompts"],
)
def test_figures_number_labels_that_look_alike(
    draw: Callable[[tuple[str, ...]], Image.Image],
) -> None:
    name = "the second green apple from the"
    found = draw((f"{name} left", f"{name} right"))
    # Those that have numbers already differ from the first letter.
    assert found.tobytes() == draw((f"0 {name} left", f"1 {name} right")).tobytes()
    assert found.tobytes() != draw((f"0 {name} left", f"2 {name} right")).tobytes()
