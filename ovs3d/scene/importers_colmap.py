"""COLMAP models, text or binary, old or with rigs, in the folders where tools leave them."""

from pathlib import Path

import pycolmap

from ovs3d.errors import PosesError, SceneError
from ovs3d.scene.given_poses import COLMAP, GivenPoses, name_some, read_model
from ovs3d.scene.intake import list_photos

_PLACES = ("sparse", "colmap/sparse", "colmap", "sfm", ".")


def model_folders(root: Path) -> list[Path]:
    """List the models below a folder: the one in the first place that has any, or its parts."""
    for place in _PLACES:
        folder = root / place
        if not folder.is_dir():
            continue
        parts = sorted(path for path in folder.iterdir() if path.is_dir())
        models = [path for path in (folder, *parts) if _is_model(path)]
        if models:
            return models
    return []


def read_colmap(root: Path) -> GivenPoses:
    """Read the largest model below a folder, and find its photos in `images/` or in the folder.

    Raises:
        PosesError: there is no model, it cannot be read, or a photo of it is missing.
    """
    folders = model_folders(root)
    if not folders:
        raise PosesError(
            f"{root}: no COLMAP model in it; expected cameras and images (.bin or .txt)"
        )
    models = {folder: read_model(folder) for folder in folders}
    folder = max(models, key=lambda path: _size(models[path]))
    model = models[folder]
    if not model.num_reg_images():
        raise PosesError(f"{folder}: a COLMAP model without images")
    images = root / "images" if (root / "images").is_dir() else root
    names = [model.image(image_id).name for image_id in model.reg_image_ids()]
    photos = {name: images / name for name in names}
    lost = sorted(name for name, path in photos.items() if not path.is_file())
    if lost:
        raise PosesError(f"{folder}: poses without a photo in {images}: {name_some(lost)}")
    posed = set(photos.values())
    try:
        unposed = tuple(path.name for path in list_photos(images) if path not in posed)
    # All photos may be in subfolders.
    except SceneError:
        unposed = ()
    return GivenPoses(folder, model, photos, unposed, COLMAP)


def _is_model(folder: Path) -> bool:
    return any(
        (folder / f"cameras{suffix}").is_file() and (folder / f"images{suffix}").is_file()
        for suffix in (".bin", ".txt")
    )


def _size(model: pycolmap.Reconstruction) -> tuple[int, int]:
    return model.num_reg_images(), model.num_points3D()
