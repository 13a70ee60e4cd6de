"""Words that are asked for: cleaned, embedded, and whether the text tower knows them at all."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ovs3d.errors import ParamsError, QueryError
from ovs3d.features.clip import ClipEncoder
from ovs3d.features.prompts import too_long
from ovs3d.photos.labels import named, plain_words

CARRIERS = ("the {}", "a photo of a {}")
"""Prompts that change nothing of what is meant."""
_SHOWN = 40
"""Characters of a text that messages repeat."""


def clean(text: str) -> str:
    """Return a text on one line, as labels are read: letters composed, quotes around it gone.

    Raises:
        QueryError: there is nothing in it.
        SceneError: a character of it cannot be written.
    """
    shown = any(letter.isprintable() and not letter.isspace() for letter in text)
    words = plain_words(text, "query") if shown else ""
    if not words:
        raise QueryError("an empty text finds nothing; say what to look for")
    return words


def shorten(text: str) -> str:
    """Return a text as messages and titles show it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def embed(encoder: ClipEncoder, texts: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Embed clean texts: [T, D] unit vectors.

    Raises:
        QueryError: a text is longer than the text tower reads.
        ParamsError: a template has no place for the text.
    """
    labels = list(map(named, texts))
    for label in labels:
        if any(too_long([label], templates, encoder.tokenizer)):
            raise QueryError(
                f"'{shorten(label.name)}' is more than the CLIP model reads at a time "
                f"({encoder.tokenizer.context_length} tokens); say it in fewer words"  # type: ignore[attr-defined]
            )
    return encoder.encode_text(labels, templates)


def strangeness(encoder: ClipEncoder, texts: Sequence[str]) -> Tensor:
    """Return how much a clean text's vector moves with empty words around it, float32 [T].

    A text tower has learnt to see through them around words that it knows. The vector of a word
    that it never met is an accident, and so is the next one.
    """
    plain = embed(encoder, texts, ("{}",))
    moved = [(plain * embed(encoder, texts, (carrier,))).sum(1) for carrier in CARRIERS]
    return 1 - torch.stack(moved).mean(0)


def read_nouns(path: Path) -> list[str]:
    """Read a list of phrases, one a line, and clean them.

    Raises:
        ParamsError: there is no such file, or nothing in it.
        QueryError: there is nothing to be seen in a line that is not blank.
        SceneError: a character of it cannot be written.
    """
    if not path.is_file():
        raise ParamsError(f"{path}: no such file; set lift.nouns to a list of phrases, one a line")
    lines = path.read_text(encoding="utf-8").splitlines()
    if not (nouns := [clean(line) for line in lines if line.strip()]):
        raise ParamsError(f"{path}: empty; lift.nouns wants a list of phrases, one a line")
    return nouns
