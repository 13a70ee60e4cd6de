"""Photos in COLMAP's database: their cameras, SIFT points and verified matches."""

import os
from collections.abc import Sequence
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
from ovs3d.poses.colmap_model import quiet
from ovs3d.poses.epipolar import Matches
from ovs3d.poses.lenses import lens_groups
from ovs3d.poses.matching import match_descriptors
from ovs3d.poses.pairs import photo_pairs
from ovs3d.poses.params import Matching, PosesParams
from ovs3d.progress import progress

# Calls that verification is divided into, so that the bar moves and Ctrl-C is heard.
_VERIFY_CALLS = 20
# Photos whose descriptors stay on the device.
_PHOTOS_AT_HAND = 32
# What COLMAP reads, by Pillow's names, which tell two-image JPEGs of phones (MPO) apart.
_READABLE = ("JPEG", "MPO", "PNG")


@dataclass(frozen=True, eq=False)
class Matched:
    """Photos that are matched; the id of view v in the database is v + 1.

    Attributes:
        photos: as the scene has them.
        names: of their files in `images`, which are the database's names too.
        images: folder of the photos as COLMAP can read them.
        database: COLMAP's file.
    """

    photos: Photos
    names: list[str]
    images: Path
    database: Path

    def matches(self) -> Matches:
        """Return the matches that pairs of photos verify by themselves, whatever poses say."""
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
    given: pycolmap.Reconstruction | None,
    params: PosesParams,
    seed: int,
    scratch: Path,
    device: torch.device,
) -> Matched:
    """Find SIFT points and match them.

    Args:
        photos: all photos of the scene, or some.
        given: a model with one image for each of them, by name, whose cameras are used as they are;
            None to guess cameras of `params.camera_model`, shared as `lens_groups` says.
        params: section `poses`.
        seed: of all random choices.
        scratch: an empty folder for the database.
        device: where descriptors are compared.

    Raises:
        SceneError: a photo cannot be decoded.
    """
    images, database = scratch / "images", scratch / "database.db"
    with quiet():
        names = _prepare_photos(photos, images)
        if given is None:
            cameras = _guess_cameras(photos, names, params.camera_model, images)
        else:
            cameras = known_cameras(photos, given)
        with pycolmap.Database.open(database) as tables:
            for camera in {camera.camera_id: camera for camera in cameras}.values():
                tables.write_camera(camera, use_camera_id=True)
            for image_id, (name, camera) in enumerate(zip(names, cameras, strict=True), start=1):
                image = pycolmap.Image(name=name, camera_id=camera.camera_id, image_id=image_id)
                tables.write_image(image, use_image_id=True)
        _extract(names, params, images, database)
        _match(names, params.matching, seed, database, device)
    return Matched(photos, names, images, database)


def known_cameras(photos: Photos, given: pycolmap.Reconstruction) -> list[pycolmap.Camera]:
    """Return the cameras that a model has for photos, one for each; that of view v has id v + 1."""
    originals = {image.name: image.camera for image in given.images.values()}
    return [
        pycolmap.Camera(
            model=originals[name].model,
            params=originals[name].params,
            width=photos.width,
            height=photos.height,
            camera_id=camera_id,
            has_prior_focal_length=True,
        )
        for camera_id, name in enumerate(photos.names, start=1)
    ]


def _guess_cameras(
    photos: Photos, names: Sequence[str], camera_model: str, images: Path
) -> list[pycolmap.Camera]:
    """Return for each photo a camera as its EXIF tells, the same for photos of one lens."""
    options = pycolmap.ImageReaderOptions(camera_model=camera_model)
    groups = lens_groups(photos.paths)
    cameras = []
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
        cameras.append(camera)
    return [cameras[group] for group in groups]


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
