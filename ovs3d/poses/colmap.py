"""COLMAP through its Python bindings: incremental mapping and triangulation, repeatable.

Two runs give the same bytes on any number of cores: image ids are fixed beforehand (left to
COLMAP, they follow the order in which its threads finish), matching is exact, every RANSAC is
seeded, and the bundle adjustment, whose sums depend on the number of threads, runs on one.
"""

from pathlib import Path

import pycolmap
import torch

from ovs3d.photos.dataset import Photos
from ovs3d.poses.colmap_matches import Matched, known_cameras, match_photos
from ovs3d.poses.colmap_model import assemble, quiet
from ovs3d.poses.params import PosesParams
from ovs3d.progress import progress

# A smaller model than this is no scene.
_MIN_MODEL = 3


def run_colmap(
    photos: Photos, params: PosesParams, seed: int, scratch: Path, device: torch.device
) -> pycolmap.Reconstruction | None:
    """Reconstruct cameras and sparse points; photos share a camera as `lens_groups` says.

    Args:
        photos: the scene's photos.
        params: section `poses`.
        seed: of all random choices.
        scratch: an empty folder for the database.
        device: where descriptors are compared.

    Returns:
        The model with the most photos, in COLMAP's frame, or None if no two photos go together.
        The id of its image of view v is v + 1.

    Raises:
        SceneError: a photo cannot be decoded.
    """
    matched = match_photos(photos, None, params, seed, scratch, device)
    options = pycolmap.IncrementalPipelineOptions(
        num_threads=1, random_seed=seed, min_model_size=_MIN_MODEL, ba_refine_principal_point=False
    )
    models_folder = scratch / "models"
    models_folder.mkdir()
    count, placed = len(photos), 0
    with quiet(), progress("placing cameras", count, "photos") as advance:

        def on_placed(steps: int = 1) -> None:
            # A model that is given up is started over, so COLMAP may place a photo twice.
            nonlocal placed
            steps = min(steps, count - placed)
            placed += steps
            advance(steps)

        models = pycolmap.incremental_mapping(
            matched.database,
            matched.images,
            models_folder,
            options,
            initial_image_pair_callback=lambda: on_placed(2),
            next_image_callback=on_placed,
        )
    # Of equally large ones the first.
    largest = max(
        models.values(),
        key=lambda model: (model.num_reg_images(), model.num_points3D()),
        default=None,
    )
    return None if largest is None else _with_photo_names(largest, photos)


def triangulate_points(
    matched: Matched, given: pycolmap.Reconstruction, seed: int
) -> pycolmap.Reconstruction:
    """Find sparse points for cameras that are known and stay as they are.

    Args:
        matched: the scene's photos.
        given: a model with one image for every photo, by name; its points are left out.
        seed: of all random choices.

    Returns:
        A model with these cameras and new points; the id of its image of view v is v + 1.
    """
    originals = {image.name: image for image in given.images.values()}
    poses = [originals[name].cam_from_world() for name in matched.photos.names]
    with quiet():
        found = pycolmap.triangulate_points(
            assemble(matched.names, known_cameras(matched.photos, given), poses),
            matched.database,
            matched.images,
            matched.database.with_name("model"),
            options=pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=seed),
        )
    return _with_photo_names(found, matched.photos)


def _with_photo_names(model: pycolmap.Reconstruction, photos: Photos) -> pycolmap.Reconstruction:
    """Name the images of a model as the photos are, not as their files in the scratch folder."""
    for image_id, image in model.images.items():
        image.name = photos.names[image_id - 1]
    return model
