"""Texts as users type them."""

from pathlib import Path

import pytest

from ovs3d.errors import ParamsError, QueryError
from ovs3d.language.words import clean, embed, read_nouns, shorten, strangeness
from tests.language.world import as_encoder
from tools.scenes.vocabulary import common_phrases

NOUNS = Path(__file__).parents[2] / "data/weights/nouns"


@pytest.mark.parametrize("text", ["", "  ", "\n\t", "\u200b", "\x00"], ids=repr)
def test_a_text_without_anything_in_it_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="empty text"):
        clean(text)


def test_a_text_gets_on_one_line() -> None:
    assert clean(" red\n apple\t🍎 ") == "red apple 🍎"


def test_a_text_that_the_tower_cannot_read_whole_is_told_short() -> None:
    with pytest.raises(
        QueryError, match=r"'red ball red.*\.\.\.' is more than .*30 tokens"
    ) as told:
        embed(as_encoder(), ["red ball " * 1000], ("{}",))
    assert len(str(told.value)) < 150
    assert len(shorten("x" * 10_000)) == 40


def test_what_the_encoder_does_not_know_is_strange() -> None:
    known, unknown = strangeness(as_encoder(), ["red ball", "zebra"]).tolist()
    assert known == pytest.approx(0, abs=1e-6)
    assert unknown > 0.1


def test_lists_of_nouns(tmp_path: Path) -> None:
    file = tmp_path / "nouns.txt"
    with pytest.raises(ParamsError, match="no such file"):
        read_nouns(file)
    file.write_text("\n \n")
    with pytest.raises(ParamsError, match="empty"):
        read_nouns(file)
    file.write_text("a cup\n\n wall \n")
    assert read_nouns(file) == ["a cup", "wall"]


def test_the_small_list_is_what_the_small_model_learnt() -> None:
    assert read_nouns(NOUNS / "small.txt") == common_phrases()


def test_the_common_list_says_nothing_twice() -> None:
    nouns = read_nouns(NOUNS / "common.txt")
    assert len(nouns) == len(set(nouns)) > 300
