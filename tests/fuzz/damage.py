"""How files go wrong: values that make no sense, and bytes that are others, too many or missing."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Edit = Callable[[bytes], bytes]

ODD_NUMBERS = st.sampled_from(
    [0, -1, 1, 1e-300, -1e300, 1e308, 2**31, 2**63, -(2**70), float("nan"), float("inf"), 0.5]
)
ODD_TEXTS = st.one_of(
    st.sampled_from(
        [
            *("", " ", ".", "..", "/", "\0", "images", "images/000.png", "../images/000.png"),
            *("C:\\images\\000.png", "/home/me/images/001.png", "nan", "None", "\ud800", "\u0301"),
            "a" * 300,
        ]
    ),
    st.text(max_size=20),
)
ODD_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), ODD_NUMBERS, ODD_TEXTS, st.floats(), st.integers()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def bytes_edits(draw: st.DrawFn) -> Edit:
    """Change, insert, remove or repeat bytes at a few places, or cut a file off."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["change", "insert", "remove", "repeat", "cut", "huge"]),
                st.floats(0, 1, exclude_max=True),
                st.binary(min_size=1, max_size=8),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def edit(content: bytes) -> bytes:
        for kind, share, new in steps:
            at = int(share * len(content))
            if kind == "cut":
                content = content[:at]
            elif kind == "remove":
                content = content[:at] + content[at + len(new) :]
            elif kind == "repeat":
                content = content[:at] + content[at // 2 :]
            else:
                new = b"\xff" * len(new) if kind == "huge" else new
                end = at if kind == "insert" else at + len(new)
                content = content[:at] + new + content[end:]
        return content

    return edit


@st.composite
def json_edits(draw: st.DrawFn, keys: tuple[str, ...]) -> Edit:
    """Replace, remove or add values anywhere in a JSON document."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["replace", "replace", "remove", "add"]),
                st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=6),
                st.sampled_from(keys),
                ODD_VALUES,
            ),
            min_size=1,
            max_size=3,
        )
    )

    def edit(content: bytes) -> bytes:
        document = json.loads(content)
        for kind, way, key, value in steps:
            _edit(document, kind, way, key, value)
        return json.dumps(document).encode()

    return edit


def _edit(node: Any, kind: str, way: list[float], key: str, value: Any) -> None:
    """Walk down by shares of the number of children, and change what is there."""
    for place, share in enumerate(way):
        if not isinstance(node, dict | list) or not node:
            return
        names = list(node) if isinstance(node, dict) else list(range(len(node)))
        name = names[int(share * len(names))]
        inner = node[name]
        if place < len(way) - 1 and isinstance(inner, dict | list) and inner:
            node = inner
            continue
        if kind == "add" and isinstance(node, dict):
            node[key] = value
        elif kind == "remove":
            del node[name]
        else:
            node[name] = value
        return


@st.composite
def line_edits(draw: st.DrawFn) -> Edit:
    """Replace words of a text, and remove, repeat or swap its lines."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["word", "word", "remove", "repeat", "swap", "blank"]),
                st.floats(0, 1, exclude_max=True),
                st.floats(0, 1, exclude_max=True),
                st.one_of(ODD_NUMBERS.map(str), ODD_TEXTS),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def edit(content: bytes) -> bytes:
        lines = content.decode().split("\n")
        for kind, row, column, text in steps:
            at = int(row * len(lines))
            if kind == "word":
                words = lines[at].split(" ")
                words[int(column * len(words))] = text
                lines[at] = " ".join(words)
            elif kind == "swap":
                other = int(column * len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            else:
                lines[at : at + 1] = {"remove": [], "repeat": 2 * [lines[at]], "blank": [""]}[kind]
            lines = lines or [""]
        return "\n".join(lines).encode(errors="surrogatepass")

    return edit
