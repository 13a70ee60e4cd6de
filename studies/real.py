"""Scenes of real photographs: taken from their folders as `ovs3d new-scene` takes them."""

from pathlib import Path
from typing import Any

from ovs3d.apps.new_scene import scene_overrides
from ovs3d.errors import SceneError
from ovs3d.files import atomic_path
from ovs3d.intake.scene import make_scene
from ovs3d.params import load_preset
from ovs3d.photos.dataset import open_photos
from stages._run import PARAMS_FILE
from studies.products import digests, key_of, locked
from studies.scenes import Scene, masked_views


def import_scenes(folder: Path, work: Path, preset: str) -> list[Scene]:
    """Bring scenes into the layout of `data/raw`; all their masked views are test views.

    Args:
        folder: whose folders with `segmentations/` are scenes, in any format of new-scene.
        work: for the copies.
        preset: of `params.yaml`; a scene's settings are what new-scene would change in it.

    Raises:
        Ovs3dError: there is none, or one cannot be used.
    """
    sources = sorted(path.parent for path in folder.glob("*/segmentations"))
    if not sources:
        raise SceneError(f"{folder}: no folders with segmentations/ in it")
    return [_import(source, work, preset) for source in sources]


def _import(source: Path, work: Path, preset: str) -> Scene:
    files = sorted(path for path in source.rglob("*") if path.is_file())
    copy = work / "real" / f"{source.name}-{key_of(digests(files))}"
    with locked(copy):
        if not copy.is_dir():
            with atomic_path(copy) as temporary:
                make_scene(source, temporary, copy)
    params = load_preset(PARAMS_FILE, preset)
    overrides = scene_overrides(preset, params, open_photos(copy / "images"))
    settings: list[tuple[str, Any]] = [
        (f"{section}.{key}", value)
        for section, values in overrides.items()
        for key, value in values.items()
    ]
    return Scene(source.name, copy, (), masked_views(copy), tuple(settings))
