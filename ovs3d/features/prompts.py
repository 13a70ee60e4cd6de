"""Phrases of labels in prompts, and whether the text tower can take them whole."""

from collections.abc import Iterator, Sequence
from typing import Any

from ovs3d.errors import ParamsError, SceneError
from ovs3d.photos.labels import Label

_PLACEHOLDER = "{}"


def make_prompts(labels: Sequence[Label], templates: Sequence[str], tokenizer: Any) -> list[str]:
    """Put the phrases of labels into prompts, the prompts of a label side by side.

    Args:
        labels: C of them.
        templates: P prompts in which `{}` stands for the phrase.
        tokenizer: of open_clip; it would cut silently what is too long.

    Returns:
        P texts for each phrase of each label.

    Raises:
        ParamsError: a template has no place for the phrase.
        SceneError: a text has more tokens than the text tower takes.
    """
    for problem in too_long(labels, templates, tokenizer):
        raise SceneError(problem)
    return [
        _prompt(template, phrase)
        for label in labels
        for phrase in label.phrases
        for template in templates
    ]


def too_long(labels: Sequence[Label], templates: Sequence[str], tokenizer: Any) -> Iterator[str]:
    """Tell of each phrase that the text tower cannot read whole.

    Args:
        labels: as for `make_prompts`.
        templates: as for `make_prompts`.
        tokenizer: as for `make_prompts`.

    Raises:
        ParamsError: a template has no place for the phrase.
    """
    for template in templates:
        if _PLACEHOLDER not in template:
            raise ParamsError(f"templates: '{template}' has no {{}} where the label goes")
    limit = tokenizer.context_length
    for label in labels:
        for phrase in label.phrases:
            longest = max(_length(tokenizer, _prompt(each, phrase)) for each in templates)
            if longest > limit:
                name = f"label '{label.name}'"
                what = name if phrase == label.name else f"phrase '{phrase}' of {name}"
                yield (
                    f"{what} is too long: with its prompt it has {longest} tokens, and the model "
                    f"reads {limit}; shorten it"
                )


def _prompt(template: str, phrase: str) -> str:
    return template.replace(_PLACEHOLDER, phrase)


def _length(tokenizer: Any, text: str) -> int:
    if hasattr(tokenizer, "encode"):
        # Start and end of the text are tokens too.
        return len(tokenizer.encode(text)) + 2
    return len(tokenizer.tokenizer(text)["input_ids"])
