"""Adding a scene to params.yaml: only the entry is new, whatever the rest looks like."""

from pathlib import Path

import pytest
import yaml

from ovs3d.apps.params_entry import check_name, entry_lines, insert_scene
from ovs3d.errors import ParamsError
from ovs3d.params import load_scene_params
from tests.closure import ROOT

ENTRY = entry_lines(
    "garden",
    "paper",
    (7,),
    (1, 4),
    {"dino_features": {"downscale": 1.2}, "distill": {"downscale": 2}},
)


def added(folder: Path, before: str) -> str:
    path = folder / "params.yaml"
    path.write_bytes(before.encode())
    return insert_scene(path, ENTRY).decode()


def test_every_other_byte_of_the_real_file_stays(tmp_path: Path) -> None:
    before = (ROOT / "params.yaml").read_text()
    after = added(tmp_path, before)
    assert after.replace("\n".join(ENTRY) + "\n", "") == before
    assert list(yaml.safe_load(after)["scenes"])[-1] == "garden"


def test_the_new_scene_has_valid_parameters(tmp_path: Path) -> None:
    after = added(tmp_path, (ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(after)
    params = load_scene_params(tmp_path / "params.yaml", "garden")
    assert params.val_views == (7,)
    assert params.test_views == (1, 4)
    assert params.stages.dino_features.downscale == 1.2
    assert params.stages.distill.downscale == 2
    assert params.stages.reconstruct.downscale == 4


@pytest.mark.parametrize(
    ("before", "start", "end"),
    [
        ("scenes:\n  a: {}\n\n# about tiny\ntiny: {}\n", "scenes:\n  a: {}\n", "\n# about tiny\n"),
        ("scenes: {} # none\ntiny: {}\n", "scenes: # none\n", "tiny: {}\n"),
        ("tiny: {}\nscenes:\n", "tiny: {}\nscenes:\n", ""),
        ("tiny: {}\nscenes:\n  a: {}", "tiny: {}\nscenes:\n  a: {}\n", ""),
        (
            "scenes:\n  a:\n    b: 1\n  # last\ntiny: {}\n",
            "scenes:\n  a:\n    b: 1\n  # last\n",
            "",
        ),
    ],
    ids=["comment behind", "empty flow", "empty block", "no final newline", "indented comment"],
)
def test_entry_goes_behind_the_last_scene(
    tmp_path: Path, before: str, start: str, end: str
) -> None:
    after = added(tmp_path, before)
    assert after.startswith(start + "  garden:\n")
    assert end in after.split("render: {}\n")[1]


def test_line_ends_of_windows_are_kept(tmp_path: Path) -> None:
    after = added(tmp_path, "scenes:\r\n  a: {}\r\ntiny: {}\r\n")
    assert after.count("\n") == after.count("\r\n") == 3 + len(ENTRY)


NASTY = f"""\
# größe ✓, and spaces behind{" " * 3}

base: &base {{ x: 1,y:  [1,2 , 3] }}   # far behind
long: {"word " * 40}# and on
'quoted': "\\u00e4"
none: ~
deep:
    - four # columns
    - +1
    - 1e-4
scenes:     # here
  a: {{<<: *base, z: 'it''s'}}
  b:
    text: |
      lines # of text

      kept
    # about nothing
# margin
more: {{a: [1,
  2]}}
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("tail", ["", "    ", "# no newline"], ids=repr)
def test_no_byte_of_a_nasty_file_is_lost(tmp_path: Path, end: str, tail: str) -> None:
    before = (NASTY + tail).replace("\n", end)
    assert added(tmp_path, before).replace(end.join([*ENTRY, ""]), "") == before


@pytest.mark.parametrize(
    "before", ["scenes: {a: {}}\n", "scenes:\n    a: {}\n", "tiny: {}\n"], ids=repr
)
def test_a_file_without_a_place_for_it_is_one_clear_line(tmp_path: Path, before: str) -> None:
    with pytest.raises(ParamsError, match=r"add garden: \{preset: paper, .*\} by hand") as raised:
        added(tmp_path, before)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["garden", "my-scene_2", "a"])
def test_plain_names_are_good(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "a/b", "a\\b", "..", ".a", "a.b", "-a", "2", "two words", "true", "no", "a" * 65]
)
def test_names_that_break_paths_or_keys_are_refused(name: str) -> None:
    with pytest.raises(ParamsError, match="cannot name a scene"):
        check_name(name)
