"""The poses that a scene brings along, compared with its photos and made a model with points."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
import torch

from ovs3d.errors import PosesError
from ovs3d.photos.dataset import Photos
from ovs3d.poses.colmap import triangulate_points
from ovs3d.poses.colmap_matches import Matched, match_photos
from ovs3d.poses.colmap_model import Lens, build_model, with_projections, world_from_camera
from ovs3d.poses.given_poses import COLMAP, name_some, read_format, read_given
from ovs3d.poses.params import PosesParams
from ovs3d.poses.pose_check import CLOSE, Verdict, judge
from ovs3d.poses.pose_readings import CONVENTIONS

MIN_POINTS = 32
"""Fewer sparse points than this say nothing about where the scene is."""
MOST_PROJECTED = 4000
"""So many of the points that came with poses are kept; more tell no more of near and far."""

# Of a model that has its points already, so many photos are matched only to check its poses: a
# minute's work. They come in runs, because neighbours show the same.
_ASKED = 32
_RUNS = 4
_TRUST = "set poses.given: trust for the scene in params.yaml to take them as they are"


@dataclass(frozen=True, eq=False)
class GivenModel:
    """A model to build on.

    Attributes:
        model: images have the photos' names.
        agreement: for the stage's table, how far poses and photos agree.
        warnings: what the user should know, a sentence each.
    """

    model: pycolmap.Reconstruction
    agreement: str
    warnings: tuple[str, ...]


def find_given_model(
    folder: Path, photos: Photos, params: PosesParams, seed: int, device: torch.device
) -> GivenModel:
    """Read given poses, check them, put right what is known to be meant otherwise, find points.

    Args:
        folder: the model, `FOLDER` of the scene's photos.
        photos: the scene's photos.
        params: section `poses`.
        seed: of all random choices.
        device: where descriptors are compared.

    Raises:
        PosesError: poses and photos do not belong together, or the model cannot be used.
        SceneError: a photo cannot be decoded.
    """
    model = read_given(folder, photos)
    has_points = model.compute_num_observations() > 0
    if has_points:
        if params.given == "trust":
            return GivenModel(model, "not asked", ())
        verdict = _ask_some(folder, photos, model, params, seed, device)
        if verdict.kind in ("right", "unknown"):
            return GivenModel(model, _agreement(verdict), _warnings(verdict, folder))
    with tempfile.TemporaryDirectory(prefix="ovs3d-poses-") as scratch:
        matched = match_photos(photos, model, params, seed, Path(scratch), device)
        if params.given == "trust":
            return GivenModel(_find_points(matched, model, seed), "not asked", ())
        verdict = _judge(matched, model, folder)
        _refuse_wrong(verdict, photos, folder)
        warnings = _warnings(verdict, folder)
        if verdict.kind == "misread":
            lenses = [Lens.of(camera) for camera in verdict.cameras]
            model, has_points = build_model(photos.names, lenses, verdict.poses), False
        if not has_points:
            model = _find_points(matched, model, seed)
    return GivenModel(model, _agreement(verdict), warnings)


def count_seen(model: pycolmap.Reconstruction) -> int:
    """Count the points of a model that a photo sees."""
    return sum(point.track.length() > 0 for point in model.points3D.values())


def _find_points(
    matched: Matched, model: pycolmap.Reconstruction, seed: int
) -> pycolmap.Reconstruction:
    """Triangulate points; where photos give hardly any, take those that came with the poses."""
    found = triangulate_points(matched, model, seed)
    if count_seen(found) >= MIN_POINTS or len(model.points3D) < MIN_POINTS:
        return found
    return with_projections(model, MOST_PROJECTED)


def _ask_some(
    folder: Path,
    photos: Photos,
    model: pycolmap.Reconstruction,
    params: PosesParams,
    seed: int,
    device: torch.device,
) -> Verdict:
    """Compare a model with a part of its photos, if they are many."""
    asked = photos
    if len(photos) > _ASKED:
        length = _ASKED // _RUNS
        starts = np.linspace(0, len(photos) - length, _RUNS).astype(int).tolist()
        chosen = sorted({start + step for start in starts for step in range(length)})
        paths = tuple(photos.paths[view] for view in chosen)
        asked = Photos(paths, photos.width, photos.height)
    with tempfile.TemporaryDirectory(prefix="ovs3d-poses-") as scratch:
        matched = match_photos(asked, model, params, seed, Path(scratch), device)
        return _judge(matched, model, folder)


def _judge(matched: Matched, model: pycolmap.Reconstruction, folder: Path) -> Verdict:
    images = {image.name: image for image in model.images.values()}
    chosen = [images[name] for name in matched.photos.names]
    cameras, poses = [image.camera for image in chosen], world_from_camera(chosen)
    convention = CONVENTIONS.get(read_format(folder), CONVENTIONS[COLMAP])
    return judge(matched.matches(), cameras, poses, matched.photos.names, convention)


def _refuse_wrong(verdict: Verdict, photos: Photos, folder: Path) -> None:
    """Raise a PosesError if poses, or some of them, are not those of the photos."""
    if verdict.kind == "some":
        names = name_some([photos.names[view] for view in verdict.wrong])
        read = f", which are read as {verdict.words}" if verdict.words else ""
        raise PosesError(
            f"{folder}: {len(verdict.wrong)} of {len(photos)} photos do not fit the poses of the "
            f"others{read}: {names}; {_share(verdict)}; correct the poses of these photos or leave "
            f"them out, or {_TRUST}"
        )
    if verdict.kind == "wrong":
        raise PosesError(
            f"{folder}: these poses are not those of the photos: {_share(verdict)}, and neither "
            "other axes nor the inverse nor another order nor another focal length fits; correct "
            "them, or let COLMAP find poses (ovs3d new-scene --format photos --replace), or "
            f"{_TRUST}"
        )


def _warnings(verdict: Verdict, folder: Path) -> tuple[str, ...]:
    if verdict.kind == "misread":
        return (
            f"{folder}: {_share(verdict)}; read as {verdict.words}, they agree with "
            f"{verdict.share_then:.0%}, so they are taken as that; correct them at their source, "
            f"or {_TRUST}",
        )
    if verdict.noisy:
        return (
            f"{folder}: these poses are rough: matches of the photos miss them by "
            f"{verdict.typical:.2f} degrees; those that COLMAP finds may be better "
            "(ovs3d new-scene --format photos --replace)",
        )
    return ()


def _agreement(verdict: Verdict) -> str:
    if verdict.kind == "unknown":
        return f"{verdict.matches} matches are too few to tell"
    share = verdict.share_then if verdict.words else verdict.share
    read = f", read as {verdict.words}" if verdict.words else ""
    return f"{share:.0%} of {verdict.matches:,} matches{read}"


def _share(verdict: Verdict) -> str:
    return (
        f"{verdict.share:.0%} of {verdict.matches:,} matches between photos agree with them to "
        f"{CLOSE} degrees"
    )
