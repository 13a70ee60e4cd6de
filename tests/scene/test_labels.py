"""Names and phrases of labels, as they stand in a file or in a comma list."""

from pathlib import Path

import pytest

from ovs3d.errors import SceneError
from ovs3d.scene.labels import (
    Label,
    label_names,
    named,
    parse_labels,
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
    labels = parse_labels(words.split(","), "--labels", "name")
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
