"""Posed photos to a radiance field (TensoRF, Chen et al. 2022)."""

from typing import Any

import torch

from ovs3d.errors import PosesError
from ovs3d.field.model import Field
from ovs3d.photos.dataset import Photos
from ovs3d.progress import progress
from ovs3d.reconstruct.params import ReconstructParams
from ovs3d.reconstruct.rays import RayPool, load_rays
from ovs3d.reconstruct.trainer import Trainer
from ovs3d.resume import Checkpoint
from ovs3d.space.cameras import Cameras
from ovs3d.space.fit_space import choose_space
from ovs3d.space.space import Space
from ovs3d.training import train


def train_field(
    photos: Photos,
    cameras: Cameras,
    train_views: tuple[int, ...],
    params: ReconstructParams,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
) -> tuple[Field, list[dict[str, Any]]]:
    """Fit a field to the photos of the training views.

    Args:
        photos: all photos of the scene.
        cameras: their poses, bounded by what the training views show (`bounded_by`).
        train_views: photo indices; those without a pose are passed over.
        params: section `reconstruct`.
        seed: of initial values, ray order and jitter.
        device: where to train and where the field ends up.
        checkpoint: where a killed training left its state; without one it starts over.

    Returns:
        The field, and its history: `step`, `loss` (all terms) and `psnr` (dB) of the iterations
        since the last entry.

    Raises:
        PosesError: no training view has a pose.
        SceneError: a photo cannot be decoded.
    """
    views = tuple(view for view in train_views if view in cameras.views)
    if not views:
        raise PosesError(
            "no training view has a pose; list fewer val_views or test_views, or raise "
            "poses.max_features so that more photos get one"
        )
    pool = load_rays(photos, cameras, views, params.downscale, device)
    space = choose_space(cameras.only(views), params.space)
    return fit(pool, space, params, seed, checkpoint)


def fit(
    pool: RayPool,
    space: Space,
    params: ReconstructParams,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> tuple[Field, list[dict[str, Any]]]:
    """Fit a field to rays; device, arguments and result are those of `train_field`."""
    trainer = Trainer(pool, space, params, seed)
    with progress("reconstruct", params.iterations, "iterations") as advance:
        history = train(trainer, advance, checkpoint)
    trainer.field.update_occupancy()
    return trainer.field, history
