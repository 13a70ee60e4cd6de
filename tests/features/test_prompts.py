"""Prompts: the label in its template, nothing cut silently."""

from types import SimpleNamespace

import open_clip
import pytest

from ovs3d.errors import ParamsError, SceneError
from ovs3d.features.prompts import make_prompts, too_long
from ovs3d.photos.labels import Label, named

TOKENIZER = open_clip.SimpleTokenizer(context_length=12)


def test_prompts_of_a_label_stand_side_by_side() -> None:
    prompts = make_prompts([named("cup"), named("wall")], ["{}", "a photo of a {}"], TOKENIZER)
    assert prompts == ["cup", "a photo of a cup", "wall", "a photo of a wall"]


def test_every_phrase_of_a_label_goes_through_every_template() -> None:
    labels = [Label("mug", ("blue mug", "a cup/beaker")), named("wall")]
    prompts = make_prompts(labels, ["{}", "one {}"], TOKENIZER)
    assert prompts[:4] == ["blue mug", "one blue mug", "a cup/beaker", "one a cup/beaker"]
    assert prompts[4:] == ["wall", "one wall"]


def test_each_phrase_that_is_too_long_is_told_with_its_label() -> None:
    labels = [Label("mug", ("cup " * 11, "mug", "wall " * 13)), named("floor " * 11)]
    told = list(too_long(labels, ["{}", "a {}"], TOKENIZER))
    # With the longer of the two templates.
    assert [problem.split(" is too long: ")[1][:33] for problem in told] == [
        "with its prompt it has 14 tokens,",
        "with its prompt it has 16 tokens,",
        "with its prompt it has 14 tokens,",
    ]
    assert told[0].startswith("phrase 'cup cup")
    assert "of label 'mug' is" in told[1]
    assert told[2].startswith("label 'floor floor")


def test_the_longest_text_that_fits_is_taken_whole() -> None:
    """Ten words, one token each, between start and end."""
    [prompt] = make_prompts([named("cup " * 10)], ["{}"], TOKENIZER)
    tokens = TOKENIZER([prompt])[0].tolist()
    assert tokens[0] == TOKENIZER.sot_token_id
    assert tokens[11] == TOKENIZER.eot_token_id
    assert len(set(tokens[1:11])) == 1


@pytest.mark.parametrize(
    ("label", "template"), [("cup " * 11, "{}"), ("cup " * 7, "one of the {}!")]
)
def test_a_longer_text_is_refused_by_the_name_of_its_label(label: str, template: str) -> None:
    with pytest.raises(SceneError, match=r"label 'cup cup .* too long: .* 13 tokens, .* reads 12"):
        make_prompts([named("wall"), named(label)], [template], TOKENIZER)


def test_tokenizers_of_the_hub_are_asked_for_all_tokens() -> None:
    """Those cut too, but what they wrap does not."""
    hub = SimpleNamespace(
        context_length=4, tokenizer=lambda text: {"input_ids": [1, *text.split(), 2]}
    )
    assert make_prompts([named("red cup")], ["{}"], hub) == ["red cup"]
    with pytest.raises(SceneError, match="5 tokens, and the model reads 4"):
        make_prompts([named("large red cup")], ["{}"], hub)


def test_template_without_a_place_for_the_label_is_an_error() -> None:
    with pytest.raises(ParamsError, match=r"'a photo' has no \{\} where the label goes"):
        make_prompts([named("cup")], ["a photo"], TOKENIZER)
