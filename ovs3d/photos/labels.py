"""What is to be found in a scene: names, and the phrases by which CLIP looks for them.

A label is written `mug = blue mug | a cup`: a name, and the phrases that stand for it. A name alone
is its own phrase. Lines of a file that begin with `#` are comments.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ovs3d.errors import SceneError
from ovs3d.photos.dataset import NO_LABEL

LABELS_FILE = "classes.txt"
"""Beside the masks of a scene, one label a line."""

_BETWEEN_NAMES = re.compile(r",\s*|\s*\n\s*")
_QUOTES = re.compile(
    "\"(.*)\"|'(.*)'|\u201c(.*)\u201d|\u201e(.*)\u201c|\u2018(.*)\u2019|\u00ab(.*)\u00bb"
)
# Commas too: a line of a file, unlike a comma list, has no other use for them.
_BETWEEN_PHRASES = re.compile(r"[|,]")
_COMMENT = "#"


@dataclass(frozen=True)
class Label:
    """One label.

    Attributes:
        name: what masks, legends, scores and exports call it.
        phrases: at least one; their embeddings are averaged.
    """

    name: str
    phrases: tuple[str, ...]

    def __str__(self) -> str:
        """Write the label as a line that reads as the same label."""
        own = self.phrases == (self.name,)
        return self.name if own else f"{self.name} = {' | '.join(self.phrases)}"


def named(name: str) -> Label:
    """Make the label of a name that is its own phrase."""
    return Label(name, (name,))


def label_names(labels: Iterable[Label]) -> tuple[str, ...]:
    """Return the names of labels."""
    return tuple(label.name for label in labels)


def read_labels(classes_txt: Path) -> tuple[Label, ...]:
    """Read labels, one a line; the position among them is the label index.

    Raises:
        SceneError: the file is missing or empty, a line is blank or no label (see `parse_labels`).
    """
    try:
        lines = classes_txt.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except FileNotFoundError:
        raise SceneError(f"{classes_txt}: no such file; write one label a line into it") from None
    except UnicodeDecodeError:
        raise SceneError(f"{classes_txt}: not UTF-8 text; save it as UTF-8") from None
    numbered = enumerate(lines, start=1)
    texts = {number: line for number, line in numbered if not line.lstrip().startswith(_COMMENT)}
    return parse_labels(texts, str(classes_txt), "line")


def write_labels(classes_txt: Path, labels: Iterable[Label]) -> None:
    """Write labels as `read_labels` reads them."""
    classes_txt.write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")


def labels_of_option(words: str) -> tuple[Label, ...]:
    """Read what `--labels` says: a file of labels, or names with commas or line ends between.

    Raises:
        SceneError: see `parse_labels`; or it looks like a file and there is none.
    """
    # Unlike `is_file` of a path, also if the name is too long for the file system.
    if os.path.isfile(words):  # noqa: PTH113
        return read_labels(Path(words))
    # Phrases may hold slashes, and only labels with phrases hold an equals sign.
    if not re.search("[=,\n]", words) and re.search(r"[/\\]|\.txt$", words):
        raise SceneError(f"--labels {words}: no such file; and a label cannot hold '/'")
    if found := re.search("[;\uff1b\uff0c\u3001]", words):
        raise SceneError(f"--labels '{words}': commas separate names, not '{found[0]}'")
    names = enumerate(_BETWEEN_NAMES.split(words.strip()), start=1)
    return parse_labels(dict(names), "--labels", "name")


def plain_words(text: str, where: str) -> str:
    """Make words comparable: composed letters, one space between, no quotes around.

    Raises:
        SceneError: a character of it cannot be written.
    """
    words = " ".join(unicodedata.normalize("NFC", text).split())
    if quoted := _QUOTES.fullmatch(words):
        words = (quoted[quoted.lastindex or 0]).strip()
    odd = next((c for c in words if unicodedata.category(c) in ("Cc", "Cs")), None)
    if odd:
        raise SceneError(f"{where}: holds the character {odd!a}, which is no text")
    return words


def parse_labels(texts: Mapping[int, str], where: str, item: str) -> tuple[Label, ...]:
    """Read labels that come as a list.

    Args:
        texts: one text a label, perhaps with space around it, by what number it is in the list.
        where: what a message calls the list.
        item: what a message calls its items.

    Raises:
        SceneError: there is no label or there are too many, a name or a phrase is empty or comes
            twice (upper and lower case count as equal), or a name cannot name a mask file.
    """
    if not texts:
        raise SceneError(f"{where}: no labels in it; write one a {item}")
    labels: list[Label] = []
    first: dict[str, int] = {}
    for number, text in texts.items():
        if not text.strip():
            raise SceneError(f"{where}: {item} {number} is blank; write one label a {item}")
        label = _parse(text, f"{where}: {item} {number}")
        earlier = first.setdefault(label.name.casefold(), number)
        if earlier != number:
            raise SceneError(
                f"{where}: {item} {number}: label '{label.name}' is on {item} {earlier} already"
            )
        labels.append(label)
    if len(labels) > NO_LABEL:
        raise SceneError(f"{where}: {len(labels)} labels, but at most {NO_LABEL} can be told")
    return tuple(labels)


def _parse(text: str, where: str) -> Label:
    before, equals, behind = text.partition("=")
    name = plain_words(before, where)
    if not name:
        raise SceneError(f"{where}: no name before the '='; write NAME = PHRASE | PHRASE")
    if name.startswith("."):
        raise SceneError(f"{where}: a label cannot begin with '.': '{name}'; its masks were hidden")
    if name.startswith(_COMMENT):
        raise SceneError(
            f"{where}: a label cannot begin with '#': '{name}'; such lines are comments"
        )
    if "/" in name:
        raise SceneError(
            f"{where}: a label cannot hold '/': '{name}'; phrases can: write NAME = PHRASE | PHRASE"
        )
    if "|" in name:
        raise SceneError(f"{where}: phrases without a name; write NAME = {text.strip()}")
    if not equals:
        return named(name)
    if "=" in behind:
        raise SceneError(f"{where}: more than one '=' in '{text.strip()}'; a label takes one")
    phrases = tuple(plain_words(phrase, where) for phrase in _BETWEEN_PHRASES.split(behind))
    seen: set[str] = set()
    for phrase in phrases:
        if not phrase:
            raise SceneError(f"{where}: label '{name}' has an empty phrase")
        if phrase.casefold() in seen:
            raise SceneError(f"{where}: label '{name}' has the phrase '{phrase}' twice")
        seen.add(phrase.casefold())
    return Label(name, phrases)
