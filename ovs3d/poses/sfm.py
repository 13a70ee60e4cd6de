"""Stage poses: camera poses and sparse points of a scene's photos, in the unit scene."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
import torch
from numpy.typing import NDArray

from ovs3d.errors import PosesError
from ovs3d.files import atomic_path, write_json
from ovs3d.photos.dataset import Photos
from ovs3d.plots import save_plot
from ovs3d.poses.colmap import run_colmap
from ovs3d.poses.colmap_model import world_from_camera
from ovs3d.poses.given_model import MIN_POINTS, count_seen, find_given_model
from ovs3d.poses.given_poses import FOLDER, name_some
from ovs3d.poses.overview import draw_overview
from ovs3d.poses.params import PosesParams
from ovs3d.poses.upright import UPRIGHT_FILE, turn_to_upright
from ovs3d.space.cameras import Cameras, save_cameras
from ovs3d.space.distortion import from_colmap_camera
from ovs3d.space.normalise import COLMAP_FOLDER, TRANSFORM_FILE, Array, Similarity, unit_scene

CAMERAS_FILE = "cameras.json"
OVERVIEW_FILE = "overview.png"


@dataclass(frozen=True)
class PosesReport:
    """What stage poses found.

    Attributes:
        photos: number of photos.
        missing: names of the photos without a pose.
        points: number of sparse points.
        error: mean reprojection error in photo pixels.
        focal: smallest and largest focal length in photo pixels.
        far: largest depth in units of the smallest.
        turn: degrees clockwise that would stand the photos upright.
        agreement: how far given poses agree with the photos; empty if there are none.
        warnings: what the user should know of them.
    """

    photos: int
    missing: tuple[str, ...]
    points: int
    error: float
    focal: tuple[float, float]
    far: float
    turn: int
    agreement: str = ""
    warnings: tuple[str, ...] = ()

    def rows(self) -> dict[str, object]:
        """Return the rows of the stage's closing table."""
        rows: dict[str, object] = {
            "photos placed": f"{self.photos - len(self.missing)} of {self.photos}",
            "without a pose": ", ".join(self.missing) or "none",
            "sparse points": self.points,
            "reprojection error (px)": self.error,
            "focal length (px)": " to ".join(dict.fromkeys(f"{each:.1f}" for each in self.focal)),
            "depths (unit scene)": f"1 to {self.far:.1f}",
        }
        if self.agreement:
            rows["agree with the given poses"] = self.agreement
        if self.turn:
            rows["photos lie on their side"] = f"turned by {self.turn} degrees they are upright"
        return rows


def reconstruct_poses(
    photos: Photos, params: PosesParams, seed: int, out: Path, device: torch.device
) -> PosesReport:
    """Recover the poses of a scene's photos and write them to a folder.

    A scene that brings its poses along, in the folder `poses` beside its photos, keeps them; where
    they come without sparse points these are triangulated.

    The folder gets `cameras.json` (unit scene), `sfm/` (the model in COLMAP's own frame and
    binary format), `sfm/transform.json` (from COLMAP's frame to the unit scene), `upright.json`
    (how photos stand) and `overview.png` (cameras and points from above). It appears at once and
    complete, or not at all.

    Args:
        photos: the scene's photos.
        params: section `poses`.
        seed: of all random choices; the same seed gives the same bytes.
        out: folder to write; replaced if it is there.
        device: where descriptors are compared; the bytes do not depend on it.

    Raises:
        PosesError: too few photos could be placed.
        SceneError: a photo cannot be decoded.
    """
    model, agreement, warnings = _find_model(photos, params, seed, device)
    placed = set() if model is None else {model.image(i).name for i in model.reg_image_ids()}
    missing = tuple(name for name in photos.names if name not in placed)
    if model is None or len(placed) < max(2, params.min_registered * len(photos)):
        raise PosesError(_too_few(photos, missing, params))
    points, colors = _sparse_points(model)
    similarity, cameras, turn = _to_unit_scene(model, points, photos)
    with atomic_path(out) as folder:
        (folder / COLMAP_FOLDER).mkdir(parents=True)
        model.write_binary(folder / COLMAP_FOLDER)
        save_cameras(cameras, folder / CAMERAS_FILE)
        write_json(folder / TRANSFORM_FILE, similarity.to_json())
        write_json(folder / UPRIGHT_FILE, {"turn": turn})
        overview = draw_overview(cameras, similarity.points(points), colors)
        save_plot(overview, folder / OVERVIEW_FILE)
    focal = cameras.intrinsics[:, :2]
    return PosesReport(
        photos=len(photos),
        missing=missing,
        points=len(points),
        error=model.compute_mean_reprojection_error(),
        focal=(float(focal.min()), float(focal.max())),
        far=cameras.far,
        turn=turn,
        agreement=agreement,
        warnings=warnings,
    )


def _find_model(
    photos: Photos, params: PosesParams, seed: int, device: torch.device
) -> tuple[pycolmap.Reconstruction | None, str, tuple[str, ...]]:
    """Return a model, how far given poses agree with the photos, and warnings."""
    folder = photos.paths[0].parent / FOLDER
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(prefix="ovs3d-poses-") as scratch:
            return run_colmap(photos, params, seed, Path(scratch), device), "", ()
    given = find_given_model(folder, photos, params, seed, device)
    seen = count_seen(given.model)
    if seen < MIN_POINTS:
        raise PosesError(
            f"{folder}: only {seen} points of the photos agree with these poses; "
            "either the poses are not of these photos or follow other axes, or the photos show "
            "too little texture (more poses.max_features may help)"
        )
    return given.model, given.agreement, given.warnings


def _to_unit_scene(
    model: pycolmap.Reconstruction, points: Array, photos: Photos
) -> tuple[Similarity, Cameras, int]:
    """Return the map to the unit scene, the cameras there, and what `turn_to_upright` says."""
    position = {point_id: index for index, point_id in enumerate(sorted(model.point3D_ids()))}
    view_of = {name: view for view, name in enumerate(photos.names)}
    images = sorted(
        (model.image(image_id) for image_id in model.reg_image_ids()),
        key=lambda image: view_of[image.name],
    )
    seen = [
        np.array([position[p.point3D_id] for p in image.get_observation_points2D()], np.int64)
        for image in images
    ]
    poses = world_from_camera(images)
    similarity, bounds = unit_scene(poses, points, seen)
    lenses = [from_colmap_camera(image.camera.model_name, image.camera.params) for image in images]
    cameras = Cameras(
        views=tuple(view_of[image.name] for image in images),
        names=tuple(image.name for image in images),
        width=photos.width,
        height=photos.height,
        intrinsics=torch.tensor([intrinsics for intrinsics, _ in lenses], dtype=torch.float64),
        distortion=torch.tensor([distortion for _, distortion in lenses], dtype=torch.float64),
        world_from_camera=torch.from_numpy(similarity.poses(poses)),
        near=bounds.near,
        far=bounds.far,
        points_min=torch.from_numpy(bounds.points_min),
        points_max=torch.from_numpy(bounds.points_max),
    )
    return similarity, cameras, turn_to_upright(poses)


def _sparse_points(model: pycolmap.Reconstruction) -> tuple[Array, NDArray[np.uint8]]:
    """Return positions and colours of the points, `[P, 3]` each, in the order of their ids."""
    points = [model.point3D(point_id) for point_id in sorted(model.point3D_ids())]
    return (
        np.array([point.xyz for point in points]),
        np.array([point.color for point in points], dtype=np.uint8),
    )


def _too_few(photos: Photos, missing: tuple[str, ...], params: PosesParams) -> str:
    return (
        f"{photos.paths[0].parent}: COLMAP placed {len(photos) - len(missing)} of {len(photos)} "
        f"photos, but poses.min_registered asks for {params.min_registered:.0%}; not placed: "
        f"{name_some(missing)}; add sharp photos that overlap by two thirds, leave those out, or "
        "raise poses.max_features, or set poses.first_octave to -1"
    )
