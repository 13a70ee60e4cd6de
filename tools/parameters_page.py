"""Write docs/parameters.md: every parameter with its meaning and its value in every preset.

Meanings are the docstrings below the fields of the sections, values those of `params.yaml`.
"""

import ast
import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ovs3d.files import atomic_path
from ovs3d.identity import ROOT
from ovs3d.params import (
    Preset,
    SceneEntry,
    SceneParams,
    load_preset,
    load_scene_params,
    preset_names,
    scene_names,
)
from ovs3d.sections import Section

COMMAND = "python -m tools.parameters_page"
PAGE = ROOT / "docs/parameters.md"
_PARAMS_FILE = ROOT / "params.yaml"
_HEAD = f"""# Parameters

Written by `{COMMAND}` from `params.yaml` and the docstrings of its sections
(`ovs3d/params.py`, `ovs3d/*/*params.py`); edit those.

Every value is in `params.yaml`. A preset has one for every parameter of every stage; a scene names
a preset and may have other values in sections of its own: `distill: {{losses: {{rda: 10}}}}`. For a
trial, `dvc exp run -S tiny.distill.losses.rda=10` changes a value of a preset
([experiments.md](experiments.md)).

Eq., Sec. and Algorithm are those of [the paper](https://arxiv.org/abs/2305.14093), the released
code is its authors'; TensoRF is [Chen et al. 2022](https://arxiv.org/abs/2203.09517) with their
code. Photo / this: a picture that is so many times smaller along either side."""
_SHARED = "What all scenes share stands at the top of `params.yaml`."
_SCENES = (
    "A scene is a key under `scenes`. Beside these it has an entry for every section below: `{}`, "
    "or values that replace those of its preset."
)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a section.

    Attributes:
        key: its name, with those of the sections around it, dotted: `losses.rda`.
        meaning: its docstring in one line; empty if it has none.
    """

    key: str
    meaning: str

    def value(self, section: Mapping[str, Any]) -> str:
        """Return its value in a section as YAML in one line."""
        value: Any = section
        for name in self.key.split("."):
            value = value[name]
        # In a list, whose brackets go again: a value alone would end with a line of dots.
        return yaml.safe_dump([value], default_flow_style=True, width=math.inf).strip()[1:-1]


def parameters(section: type[Section], prefix: str = "") -> Iterator[Parameter]:
    """List the parameters of a section, those of sections within it in their place.

    Args:
        section: the class.
        prefix: names of the sections around it, each followed by a dot.
    """
    meanings, within = _docstrings(section), _sections_in(section)
    for name in section.model_fields:
        if name in within:
            yield from parameters(within[name], f"{prefix}{name}.")
        else:
            yield Parameter(prefix + name, meanings.get(name, ""))


def shared_parameters() -> list[Parameter]:
    """List the parameters that all scenes share."""
    own = set(SceneEntry.model_fields) | {"stages"}
    return [each for each in parameters(SceneParams) if each.key.partition(".")[0] not in own]


def scene_parameters() -> list[Parameter]:
    """List the parameters of a scene's entry that are no section of its preset."""
    return [each for each in parameters(SceneEntry) if each.key not in Preset.model_fields]


def page(params_file: Path) -> str:
    """Return the page for a `params.yaml` with at least one scene.

    Raises:
        ParamsError: the file is not as it should be.
    """
    first = load_scene_params(params_file, scene_names(params_file)[0])
    shared = {"value": first.model_dump(mode="json")}
    presets = {name: load_preset(params_file, name) for name in preset_names(params_file)}
    parts = [
        _HEAD,
        f"## Shared\n\n{_SHARED}\n\n{_table(shared_parameters(), shared)}",
        f"## Scenes\n\n{_SCENES}\n\n{_table(scene_parameters(), {})}",
    ]
    for name, section in _sections_in(Preset).items():
        values = {
            preset: getattr(stages, name).model_dump(mode="json")
            for preset, stages in presets.items()
        }
        about = inspect.getdoc(section)
        parts.append(f"## {name}\n\n{about}\n\n{_table(list(parameters(section)), values)}")
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Parameter], columns: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [["parameter", "meaning", *columns], ["---"] * (2 + len(columns))]
    lines += [
        [f"`{row.key}`", row.meaning, *(f"`{row.value(values)}`" for values in columns.values())]
        for row in rows
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    # Docstrings name pages as the code sees them; this page stands among them.
    return re.sub(r"docs/(\w+\.md)", r"[\1](\1)", table)


def _sections_in(section: type[Section]) -> dict[str, type[Section]]:
    kinds = {name: field.annotation for name, field in section.model_fields.items()}
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, Section)
    }


def _docstrings(section: type[Section]) -> dict[str, str]:
    """Return the docstrings of a section's fields by name.

    From the source: pydantic can keep them, but told to do so in `Section` it would change the code
    that every stage counts as its own.
    """
    tree = ast.parse(inspect.getsource(section)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found


def main() -> None:
    """Write the page."""
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(_PARAMS_FILE))


if __name__ == "__main__":
    main()
