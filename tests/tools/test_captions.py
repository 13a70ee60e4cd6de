import numpy as np

from tests.tools.pictures import APPLE, WALL
from tools.models.captions import Caption, draw_caption, true_phrases, truth_matrix
from tools.models.scenes import Entity
from tools.scenes.vocabulary import KINDS, object_phrases


def test_patterns_also_come_behind_the_noun() -> None:
    ball = Entity(1, True, "ball", "red striped ball", ("red striped ball", "striped ball"))
    assert "red ball with stripes" in true_phrases(ball)
    assert true_phrases(ball)[0] == "red striped ball"


def test_backgrounds_keep_their_phrases() -> None:
    assert true_phrases(WALL) == WALL.phrases


def test_drawn_captions_contain_a_true_phrase() -> None:
    rng = np.random.default_rng(0)
    phrases = true_phrases(APPLE)
    for _ in range(50):
        caption = draw_caption(phrases, rng)
        assert caption.phrase in phrases
        assert caption.phrase in caption.text


def test_a_caption_is_true_of_every_crop_that_it_describes() -> None:
    names = [("red mug", "mug"), ("blue mug", "mug"), ("brick wall",)]
    captions = [Caption("a mug", "mug"), Caption("blue mug", "blue mug")]
    assert truth_matrix(names, captions).tolist() == [[True, False], [True, True], [False, False]]


def test_object_phrases_use_every_synonym_of_the_kind() -> None:
    for kind, words in KINDS.items():
        phrases = object_phrases(kind, words.colors[0], "plain")
        assert phrases[0] == f"{words.colors[0]} {kind}"
        assert {kind, *words.synonyms} <= set(phrases)
