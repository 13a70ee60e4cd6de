"""COLMAP through its Python bindings: SIFT, verification and incremental mapping, repeatable.

Two runs give the same bytes on any number of cores: image ids are fixed beforehand (left to
COLMAP, they follow the order in which its threads finish), matching is exact, every RANSAC is
seeded, and the bundle adjustment, whose sums depend on the number of threads, runs on one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pycolmap
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovs3d.device import to_device
from ovs3d.photos.dataset import Photos, load_photo, load_seen
from ovs3d.photos.picture_files import file_format, has_alpha, is_upright
from ovs3d.poses.epipolar import Matches
from ovs3d.poses.lenses import lens_groups
from ovs3d.poses.matching import match_descriptors
from ovs3d.poses.pairs import photo_pairs
from ovs3d.poses.params import Matching, PosesParams
from ovs3d.progress import progress

# A smaller model than this is no scene.
_MIN_MODEL = 3
# Calls that verification is divided into, so that the bar moves and Ctrl-C is heard.
_VERIFY_CALLS = 20
# Photos whose descriptors stay on the device.
_PHOTOS_AT_HAND = 32
# By Pillow's names, which tell two-image JPEGs of phones apart.
_READABLE = ("JPEG", "MPO", "PNG")


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
    images, database = scratch / "images", scratch / "database.db"
    with quiet():
        names = _prepare_photos(photos, images)
        _create_database(photos, names, params.camera_model, images, database)
        _extract(names, params, images, database)
        _match(names, params.matching, seed, database, device)
        model = _map(len(photos), seed, images, database)
    if model is not None:
        for image_id, image in model.images.items():
            image.name = photos.names[image_id - 1]
    return model


@dataclass(frozen=True, eq=False)
class Matched:
    """Photos with known cameras, matched in COLMAP's database; the id of view v is v + 1."""

    photos: Photos
    images: Path
    database: Path
    names: list[str]

    def matches(self) -> Matches:
        """Return the matches that two photos alone allow, whatever the poses say."""
        views, first, second = [], [], []
        with pycolmap.Database.open(self.database) as tables:
            points = [
                np.array(tables.read_keypoints(view + 1), dtype=np.float64)[:, :2]
                for view in range(len(self.photos))
            ]
            ids, geometries = tables.read_two_view_geometries()
            for pair_id, geometry in zip(ids, geometries, strict=True):
                one, other = (i - 1 for i in pycolmap.pair_id_to_image_pair(pair_id))
                pairs = np.array(geometry.inlier_matches, dtype=np.int64).reshape(-1, 2)
                views.append(np.tile(np.array([[one, other]], dtype=np.int64), (len(pairs), 1)))
                first.append(points[one][pairs[:, 0]])
                second.append(points[other][pairs[:, 1]])
        nothing = np.empty((0, 2))
        return Matches(
            np.concatenate([nothing.astype(np.int64), *views]),
            np.concatenate([nothing, *first]),
            np.concatenate([nothing, *second]),
        )


def match_photos(
    photos: Photos,
    given: pycolmap.Reconstruction,
    params: PosesParams,
    seed: int,
    scratch: Path,
    device: torch.device,
) -> Matched:
    """Match photos whose cameras are known.

    Args:
        photos: all photos of the scene, or some.
        given: a model with one image for each of them, by name; only its cameras are used.
        params: section `poses`; its camera model is not used.
        seed: of all random choices.
        scratch: an empty folder for the database.
        device: where descriptors are compared.

    Raises:
        SceneError: a photo cannot be decoded.
    """
    images, database = scratch / "images", scratch / "database.db"
    with quiet():
        names = _prepare_photos(photos, images)
        model = _known_model(photos, names, given)
        with pycolmap.Database.open(database) as tables:
            for image_id in range(1, len(photos) + 1):
                image = model.image(image_id)
                tables.write_camera(image.camera, use_camera_id=True)
                plain = pycolmap.Image(name=image.name, camera_id=image_id, image_id=image_id)
                tables.write_image(plain, use_image_id=True)
        _extract(names, params, images, database)
        _match(names, params.matching, seed, database, device)
    return Matched(photos, images, database, names)


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
    options = pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=seed)
    model = _known_model(matched.photos, matched.names, given)
    with quiet():
        found = pycolmap.triangulate_points(
            model,
            matched.database,
            matched.images,
            matched.database.with_name("model"),
            options=options,
        )
    for image_id, image in found.images.items():
        image.name = matched.photos.names[image_id - 1]
    return found


def _prepare_photos(photos: Photos, images: Path) -> list[str]:
    """Check that every photo decodes and lay them out for COLMAP; return their names there.

    COLMAP ignores the EXIF orientation, cannot take a name with a space in a list of pairs, and
    passes over files that it cannot read, a WebP named .jpg for one. Masks keep it from pixels that
    alpha leaves out; it wants one for every photo, or none.
    """
    images.mkdir()
    masked, names = any(has_alpha(path) for path in photos.paths), []
    if masked:
        _masks(images).mkdir()
    with progress("decode", len(photos), "photos") as advance:
        for view, path in enumerate(photos.paths):
            pixels, seen = load_photo(path, 1), load_seen(path, 1)
            as_is = _readable(path) and is_upright(path) and seen is None
            names.append(f"{view:06d}{path.suffix.lower() if as_is else '.png'}")
            if as_is:
                (images / names[view]).symlink_to(path.resolve())
            else:
                Image.fromarray(pixels.numpy()).save(images / names[view], compress_level=1)
            if masked:
                mask = np.ones(pixels.shape[:2], bool) if seen is None else seen.numpy()
                Image.fromarray(mask).save(_masks(images) / f"{names[view]}.png")
            advance()
    return names


def _masks(images: Path) -> Path:
    return images.with_name("masks")


def _readable(path: Path) -> bool:
    return file_format(path) in _READABLE


def _create_database(
    photos: Photos, names: list[str], camera_model: str, images: Path, database: Path
) -> None:
    options = pycolmap.ImageReaderOptions(camera_model=camera_model)
    groups = lens_groups(photos.paths)
    with pycolmap.Database.open(database) as tables:
        for group in range(max(groups) + 1):
            view = groups.index(group)
            # A photo that was written anew has lost its EXIF, which holds the focal length.
            original = photos.paths[view]
            first = original if _readable(original) else images / names[view]
            guess = pycolmap.infer_camera_from_image(first, options)
            camera = pycolmap.Camera.create_from_model_name(
                group + 1, camera_model, guess.mean_focal_length(), photos.width, photos.height
            )
            camera.has_prior_focal_length = guess.has_prior_focal_length
            tables.write_camera(camera, use_camera_id=True)
        for view, (name, group) in enumerate(zip(names, groups, strict=True)):
            image = pycolmap.Image(name=name, camera_id=group + 1, image_id=view + 1)
            tables.write_image(image, use_image_id=True)


def _known_model(
    photos: Photos, names: list[str], given: pycolmap.Reconstruction
) -> pycolmap.Reconstruction:
    """Return known cameras as a model with the ids and names of the database."""
    model = pycolmap.Reconstruction()
    originals = {image.name: image for image in given.images.values()}
    for image_id, (name, scratch_name) in enumerate(zip(photos.names, names, strict=True), start=1):
        original = originals[name]
        camera = pycolmap.Camera(
            model=original.camera.model,
            params=original.camera.params,
            width=photos.width,
            height=photos.height,
            camera_id=image_id,
            has_prior_focal_length=True,
        )
        image = pycolmap.Image(name=scratch_name, camera_id=image_id, image_id=image_id)
        model.add_camera_with_trivial_rig(camera)
        model.add_image_with_trivial_frame(image, original.cam_from_world())
    return model


def _extract(names: list[str], params: PosesParams, images: Path, database: Path) -> None:
    options = pycolmap.FeatureExtractionOptions(use_gpu=False, max_image_size=params.max_image_size)
    options.sift.max_num_features = params.max_features
    options.sift.first_octave = params.first_octave
    reader = pycolmap.ImageReaderOptions()
    if _masks(images).is_dir():
        reader.mask_path = _masks(images)
    batch = 2 * (os.cpu_count() or 1)
    with progress("SIFT points", len(names), "photos") as advance:
        for start in range(0, len(names), batch):
            some = names[start : start + batch]
            pycolmap.extract_features(
                database, images, some, reader_options=reader, extraction_options=options
            )
            advance(len(some))


def _match(
    names: list[str], matching: Matching, seed: int, database: Path, device: torch.device
) -> None:
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    pairs_file = database.with_name("pairs.txt")
    with pycolmap.Database.open(database) as tables:

        def descriptors(view: int) -> NDArray[np.uint8]:
            return np.array(tables.read_descriptors(view + 1).data)

        @lru_cache(_PHOTOS_AT_HAND)
        def on_device(view: int) -> Tensor:
            return to_device(torch.from_numpy(descriptors(view)), device)

        pairs = photo_pairs(len(names), matching, descriptors, seed)
        with progress("matching", len(pairs), "pairs") as advance:
            for first, second in pairs:
                matches = match_descriptors(on_device(first), on_device(second))
                tables.write_matches(first + 1, second + 1, matches.cpu().numpy())
                advance()
    batch = max(1, -(-len(pairs) // _VERIFY_CALLS))
    with progress("verifying matches", len(pairs), "pairs") as advance:
        for start in range(0, len(pairs), batch):
            some = pairs[start : start + batch]
            lines = [f"{names[first]} {names[second]}\n" for first, second in some]
            pairs_file.write_text("".join(lines))
            pycolmap.verify_matches(database, pairs_file, verification)
            advance(len(some))


def _map(count: int, seed: int, images: Path, database: Path) -> pycolmap.Reconstruction | None:
    options = pycolmap.IncrementalPipelineOptions(
        num_threads=1,
        random_seed=seed,
        min_model_size=_MIN_MODEL,
        ba_refine_principal_point=False,
    )
    models_folder = database.with_name("models")
    models_folder.mkdir()
    placed = 0
    with progress("placing cameras", count, "photos") as advance:

        def on_placed(steps: int = 1) -> None:
            # A model that is given up is started over, so COLMAP may place a photo twice.
            nonlocal placed
            steps = min(steps, count - placed)
            placed += steps
            advance(steps)

        models = pycolmap.incremental_mapping(
            database,
            images,
            models_folder,
            options,
            initial_image_pair_callback=lambda: on_placed(2),
            next_image_callback=on_placed,
        )
    sizes = {
        index: (model.num_reg_images(), model.num_points3D()) for index, model in models.items()
    }
    return models[max(sizes, key=lambda index: sizes[index])] if sizes else None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep COLMAP's log off the terminal."""
    level = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = level
