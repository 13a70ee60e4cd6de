"""Labels in prompts, and whether the text tower can take them whole."""

from collections.abc import Sequence
from typing import Any

from ovs3d.errors import ParamsError, SceneError

_PLACEHOLDER = "{}"


def make_prompts(labels: Sequence[str], templates: Sequence[str], tokenizer: Any) -> list[str]:
    """Put labels into prompts, the prompts of a label side by side.

    Args:
        labels: C names.
        templates: P prompts in which `{}` stands for the label.
        tokenizer: of open_clip; it would cut silently what is too long.

    Returns:
        C * P texts.

    Raises:
        ParamsError: a template has no place for the label.
        SceneError: a text has more tokens than the text tower takes.
    """
    for template in templates:
        if _PLACEHOLDER not in template:
            raise ParamsError(f"templates: '{template}' has no {{}} where the label goes")
    prompts = [template.replace(_PLACEHOLDER, label) for label in labels for template in templates]
    limit = tokenizer.context_length
    for index, prompt in enumerate(prompts):
        length = _length(tokenizer, prompt)
        if length > limit:
            raise SceneError(
                f"label '{labels[index // len(templates)]}' is too long: with its prompt it has "
                f"{length} tokens, and the model reads {limit}; shorten it"
            )
    return prompts


def _length(tokenizer: Any, text: str) -> int:
    if hasattr(tokenizer, "encode"):
        # Start and end of the text are tokens too.
        return len(tokenizer.encode(text)) + 2
    return len(tokenizer.tokenizer(text)["input_ids"])
