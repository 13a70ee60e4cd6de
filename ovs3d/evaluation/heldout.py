"""How well a radiance field shows views that it was not trained on."""

from typing import Any

import numpy as np

from ovs3d.evaluation.quality import similarity
from ovs3d.field.model import Field
from ovs3d.field.render import render_rays
from ovs3d.photos.dataset import Photos, load_photo, load_seen
from ovs3d.progress import progress
from ovs3d.space.cameras import Cameras, pixel_centres

_DIGITS = 4
_NAMES = ("psnr", "ssim")


def score_field(
    field: Field,
    photos: Photos,
    cameras: Cameras,
    views: tuple[int, ...],
    downscale: int,
    match_colours: bool = False,
) -> dict[str, Any]:
    """Render views and compare them with their photos.

    Args:
        field: the reconstruction; rays are made on its device.
        photos: of the scene.
        cameras: of the scene; views without a pose are passed over.
        views: photo indices.
        downscale: views are rendered at photo / downscale.
        match_colours: see `similarity`.

    Returns:
        `psnr` (dB) and `ssim`, means over the views, left out if there is no view; and the same
        two under `per_view`.
    """
    placed = [view for view in views if view in cameras.views]
    device = field.basis.weight.device
    xy = pixel_centres(photos.width, photos.height, downscale).to(device)
    scores: dict[str, dict[str, float]] = {}
    with progress("held-out views", len(placed), "views") as advance:
        for view in placed:
            photo = load_photo(photos.paths[view], downscale)
            rendered = render_rays(field, *cameras.rays(view, xy))
            color = rendered.color.clamp(0, 1).cpu().view(photo.shape)
            target = photo.float() / 255
            seen = load_seen(photos.paths[view], downscale)
            scores[str(view)] = dict(
                zip(_NAMES, similarity(color, target, seen, match_colours), strict=True)
            )
            advance()
    means = {
        name: round(float(np.mean([score[name] for score in scores.values()])), _DIGITS)
        for name in _NAMES
        if scores
    }
    rounded = {
        view: {name: round(value, _DIGITS) for name, value in score.items()}
        for view, score in scores.items()
    }
    return {**means, "per_view": rounded}
