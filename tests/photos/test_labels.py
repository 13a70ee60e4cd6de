"""Names and phrases of labels, as they stand in a file or in a comma list."""

import re
from pathlib import Path

import pytest

from ovs3d.errors import SceneError
from ovs3d.photos.labels import (
    Label,
    label_names,
    labels_of_option,
    named,
    read_labels,
    write_labels,
)

MUG = Label("mug", ("blue mug", "a cup", "something to drink from"))


def test_names_alone_are_their_own_phrases_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes("\ufeffred apple \r\nMüsli\r\ntable\r\n\r\n".encode())
    labels = read_labels(tmp_path / "classes.txt")
    assert labels == (named("red apple"), named("Müsli"), named("table"))
    assert label_names(labels) == ("red apple", "Müsli", "table")
    assert labels[0].phrases == ("red apple",)


def test_comments_are_no_labels_but_lines(tmp_path: Path) -> None:
    classes = tmp_path / "classes.txt"
    classes.write_text("\ufeff# objects\nmug = cup #1\n  # = | / surfaces\ntable\n#\n")
    assert read_labels(classes) == (Label("mug", ("cup #1",)), named("table"))
    classes.write_text("# objects\nmug\n# surfaces\n\n# more\n")
    with pytest.raises(SceneError, match="line 4 is blank"):
        read_labels(classes)
    classes.write_text("# mug\n# table\n")
    with pytest.raises(SceneError, match=r"classes\.txt: no labels in it"):
        read_labels(classes)


@pytest.mark.parametrize(
    "line",
    [
        "mug = blue mug | a cup | something to drink from",
        "mug=blue mug|a cup|something to drink from ",
        "mug = blue mug, a cup, something to drink from",
    ],
)
def test_phrases_stand_behind_the_name(tmp_path: Path, line: str) -> None:
    (tmp_path / "classes.txt").write_text(f"{line}\ntable, wooden\n")
    assert read_labels(tmp_path / "classes.txt") == (MUG, named("table, wooden"))


def test_a_comma_list_takes_the_same_labels() -> None:
    words = "mug = blue mug | a cup | something to drink from, shaker = salt/pepper , table"
    labels = labels_of_option(words)
    assert labels == (MUG, Label("shaker", ("salt/pepper",)), named("table"))


def test_what_is_written_reads_as_the_same(tmp_path: Path) -> None:
    labels = (MUG, named("table, wooden"), Label("wall", ("Wall", "bricks")), Label("x", ("x",)))
    write_labels(tmp_path / "classes.txt", labels)
    assert read_labels(tmp_path / "classes.txt") == labels
    first = (tmp_path / "classes.txt").read_text()
    assert first.startswith("mug = blue mug | a cup | something to drink from\ntable, wooden\n")
    assert first.endswith("\nx\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", r"classes\.txt: no labels in it", id="none"),
        pytest.param(b"\n \n", r"classes\.txt: no labels in it", id="only blank"),
        pytest.param(b"apple\n\ntable\n", r"line 2 is blank", id="blank"),
        pytest.param(
            b"apple\ntable\nApple = fruit\n",
            r"line 3: label 'Apple' is on line 1 already",
            id="name twice",
        ),
        pytest.param(b"salt/pepper\n", r"line 1: a label cannot hold '/'", id="slash"),
        pytest.param(
            b"salt/pepper = shaker\n", r"cannot hold '/': 'salt/pepper'; phrases can", id="slash ="
        ),
        pytest.param(b"a\n = cup\n", r"line 2: no name before the '='", id="empty name"),
        pytest.param(b"mug =\n", r"line 1: label 'mug' has an empty phrase", id="no phrase"),
        pytest.param(b"mug = cup | \n", r"label 'mug' has an empty phrase", id="empty phrase"),
        pytest.param(b"mug = cup,, a\n", r"label 'mug' has an empty phrase", id="empty, comma"),
        pytest.param(
            b"mug = cup | Cup\n", r"line 1: label 'mug' has the phrase 'Cup' twice", id="twice"
        ),
        pytest.param(
            b"mug | cup\n", r"phrases without a name; write NAME = mug \| cup", id="no name"
        ),
        pytest.param(b"mug = cup wall = brick\n", r"more than one '=' in 'mug", id="forgot comma"),
        pytest.param(b"\xff\xfe\x00", r"not UTF-8 text", id="encoding"),
        pytest.param(
            "\n".join(f"label {n}" for n in range(256)).encode(), r"256 labels", id="too many"
        ),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(SceneError, match=message) as raised:
        read_labels(tmp_path / "classes.txt")
    assert "\n" not in str(raised.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"classes\.txt: no such file; write one label a line"):
        read_labels(tmp_path / "classes.txt")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("red apple, wall", ["red apple", "wall"]),
        ("red apple,\n  wall\n", ["red apple", "wall"]),
        ("red apple\nwall", ["red apple", "wall"]),
        ("'red apple', \"wall\"", ["red apple", "wall"]),
        ("\u201cred apple\u201d, \u00abwall\u00bb", ["red apple", "wall"]),
        ("red   apple, dog's bowl, cats'", ["red apple", "dog's bowl", "cats'"]),
        ("\U0001f34e, \U0001f468\u200d\U0001f469\u200d\U0001f467 toy", None),
        ("Ku\u0308che, wall", ["K\u00fcche", "wall"]),
        (", ".join(f"thing number {index}" for index in range(60)), None),
    ],
)
def test_labels_are_read_as_people_type_them(words: str, names: list[str] | None) -> None:
    found = label_names(labels_of_option(words))
    assert list(found) == (names or [name.strip() for name in words.split(",")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "name 1 is blank"),
        ("red apple, , wall", "name 2 is blank"),
        ('"", wall', "no name"),
        ("Red Apple, wall, red apple", "label 'red apple' is on name 1 already"),
        ("K\u00fcche, Ku\u0308che", "is on name 1 already"),
        ("wall,  'wall'", "is on name 1 already"),
        ("cat/dog, wall", "a label cannot hold '/': 'cat/dog'"),
        ("cat/dog", "no such file; and a label cannot hold '/'"),
        ("labels.txt", "labels.txt: no such file"),
        ("red apple; wall", "commas separate names, not ';'"),
        ("red apple\uff0c wall", "commas separate names, not '\uff0c'"),
        (".hidden, wall", "cannot begin with '.'"),
        ("wall, #1 mug", "name 2: a label cannot begin with '#': '#1 mug'"),
        ("'# mug', wall", "cannot begin with '#'"),
        ("bell\x07, wall", r"holds the character '\\x07'"),
        ("half \udcff, wall", r"holds the character '\\udcff'"),
    ],
)
def test_what_is_no_label_is_told(words: str, message: str) -> None:
    with pytest.raises(SceneError, match=re.escape(message) if "\\" not in message else message):
        labels_of_option(words)
