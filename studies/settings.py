"""Parameters of a row: a preset of `params.yaml` with dotted keys changed, checked by ovs3d."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ovs3d.errors import ParamsError
from ovs3d.files import atomic_path
from ovs3d.params import Preset, SceneParams, load_scene_params
from stages._run import PARAMS_FILE
from studies.scenes import Scene


def make_params(
    scene: Scene, preset: str, overrides: Mapping[str, Any], seed: int, file: Path
) -> SceneParams:
    """Return the parameters of a scene that holds out all views with masks.

    Args:
        scene: to measure on.
        preset: of `params.yaml`.
        overrides: dotted keys, such as `distill.losses.rda` -> values; they come after the
            scene's own.
        seed: of the stages.
        file: gets the `params.yaml` that says the same.

    Raises:
        ParamsError: a key is unknown or a value out of range.
    """
    sections: dict[str, dict[str, Any]] = {name: {} for name in Preset.model_fields}
    for dotted, value in {**dict(scene.settings), **overrides}.items():
        *parents, key = dotted.split(".")
        if not parents or parents[0] not in sections:
            raise ParamsError(
                f"{dotted}: does not begin with a stage; known: {', '.join(sections)}"
            )
        place: dict[str, Any] = sections
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    document = yaml.safe_load(PARAMS_FILE.read_text())
    views = {"val_views": list(scene.val_views), "test_views": list(scene.test_views)}
    entry = {"preset": preset, **views, **sections}
    document |= {"seed": seed, "split": "held_out", "scenes": {scene.name: entry}}
    with atomic_path(file) as temporary:
        temporary.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_scene_params(file, scene.name)
