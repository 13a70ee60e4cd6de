"""Adding a scene to params.yaml as text, so that every byte outside the new entry stays.

ruamel.yaml keeps comments, but writes `null`, line ends, indents and spaces its own way.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ovs3d.errors import ParamsError
from ovs3d.params import Preset

# Block mapping: the key alone on its line.
_SCENES = re.compile(r"scenes:[ \t]*(#.*)?$")
_EMPTY_SCENES = re.compile(r"scenes:[ \t]*(\{[ \t]*\}|null|~)[ \t]*(#.*)?$")
_INDENT = "  "


def check_name(name: str) -> None:
    """Check that a scene can have a name: it becomes a folder and a part of dotted keys.

    Raises:
        ParamsError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise ParamsError(
            f"'{name}' cannot name a scene; use a letter, then letters, digits, - and _ (64 at "
            "most)"
        )
    if yaml.safe_load(name) != name:
        raise ParamsError(f"'{name}' cannot name a scene: YAML reads it as a value, not as a word")


def entry_lines(
    name: str,
    preset: str,
    val_views: Sequence[int],
    test_views: Sequence[int],
    overrides: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Write the entry of a scene.

    Args:
        name: the scene.
        preset: its preset.
        val_views: its validation views.
        test_views: its test views.
        overrides: section -> values that are not the preset's: numbers, words, true or false.

    Returns:
        Lines without line ends, indented as if `scenes` stood at the margin.
    """
    sections = [
        f"{section}: {_flow(overrides.get(section, {}))}" for section in Preset.model_fields
    ]
    views = [
        f"{key}: [{', '.join(map(str, chosen))}]"
        for key, chosen in (("val_views", val_views), ("test_views", test_views))
    ]
    values = [f"preset: {preset}", *views, *sections]
    return [f"{_INDENT}{name}:", *(f"{_INDENT * 2}{value}" for value in values)]


def _flow(values: Mapping[str, Any]) -> str:
    # As long as it gets: an entry has a line for a section.
    flow = yaml.safe_dump(dict(values), default_flow_style=True, sort_keys=False, width=2**31)
    return flow.rstrip()


def insert_scene(path: Path, entry: Sequence[str]) -> bytes:
    """Return the content of a params.yaml with an entry added behind the last scene.

    Args:
        path: the file.
        entry: what `entry_lines` returned.

    Raises:
        ParamsError: there is no place for the entry that leaves the rest as it is.
    """
    text = path.read_bytes().decode()
    lines = text.splitlines(keepends=True)
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    new = [line + end for line in entry]
    starts = [
        index
        for index, line in enumerate(lines)
        if _SCENES.match(line.rstrip()) or _EMPTY_SCENES.match(line.rstrip())
    ]
    if len(starts) != 1:
        raise _no_place(path, entry)
    [start] = starts
    last = start
    if _EMPTY_SCENES.match(lines[start].rstrip()):
        comment = lines[start].partition("#")
        lines[start] = f"scenes:{' #' + comment[2].rstrip() if comment[1] else ''}{end}"
    else:
        for index in range(start + 1, len(lines)):
            if lines[index][0] not in " \t#\r\n":
                break
            if lines[index][0] in " \t" and lines[index].strip():
                last = index
    if not lines[last].endswith("\n"):
        lines[last] += end
    result = "".join([*lines[: last + 1], *new, *lines[last + 1 :]])
    if not _adds_only(text, result, entry):
        raise _no_place(path, entry)
    return result.encode()


def _adds_only(before: str, after: str, entry: Sequence[str]) -> bool:
    """Tell whether YAML reads the new text as the old one plus the entry."""
    try:
        old, new = yaml.safe_load(before), yaml.safe_load(after)
    except yaml.YAMLError:
        return False
    added: dict[str, Any] = yaml.safe_load("\n".join(entry))
    return bool(new == {**old, "scenes": {**(old["scenes"] or {}), **added}})


def _no_place(path: Path, entry: Sequence[str]) -> ParamsError:
    fields = ", ".join(line.strip() for line in entry[1:])
    return ParamsError(
        f"{path}: cannot add the scene, because `scenes:` is not a block with one scene a line "
        f"indented by two; rewrite it so, or add {entry[0].strip()} {{{fields}}} by hand"
    )
