"""Cost of every stage of a scene: counts, bytes, and seconds from short runs on the device."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from ovs3d.apps.scene_sizes import FLOAT, SceneShape, SceneSizes, count_sizes
from ovs3d.device import encoder_batch, encoder_workers, make_generator
from ovs3d.features.encoder_cost import (
    clip_tower,
    dino_network,
    encoder_cost,
    seconds_of,
    seconds_per_flop,
)
from ovs3d.field.vm import VmVolume
from ovs3d.params import Preset
from ovs3d.poses.pairs import EXHAUSTIVE_UP_TO, SEQUENTIAL_OVERLAP, SIMILAR
from ovs3d.poses.params import PosesParams

_START_BYTES = 450e6
"""Of a process that has imported torch and the rest."""
_START_SECONDS = 5.0
# The runs that are timed: large enough to be typical, over in about a second each on a CPU.
_TIMED_TOKENS_SIDE = 16
_TIMED_POINTS = 1 << 15
_TIMED_VOXELS = 1 << 21
# Measured on the demo, per core: SIFT by the megapixel, matching by the pair of descriptors,
# mapping by the photo (one thread).
_SIFT_SECONDS, _PAIR_SECONDS, _MAP_SECONDS = 0.4, 9e-9, 0.3
# Samples of a ray that are evaluated: in reconstruction, when baked for distillation, in pictures.
_TRAIN_SAMPLES, _BAKED_SAMPLES, _PICTURE_SAMPLES = 24, 8, 14
_RAY_BYTES = 3 * FLOAT + 3
"""Of a pixel that is trained on: direction in float32, colour in 8 bits."""
_BAKED_BYTES = 4 * FLOAT
"""Of a baked sample: place and weight."""
_COLMAP_BYTES = 400e6
_SIFT_BYTES = 50
"""Of a pixel, in a thread of its own: a pyramid of blurred pictures, gradients, float32."""
_DECODED_BYTES = 12 * FLOAT
"""Of a pixel of the photo that an encoder sees and of the next one: decoded, shrunk, in float32."""
_MODEL_COPIES = 2
"""A model and the file that it is loaded from."""
_LAYERS_ALIVE = 6
"""Largest outputs of an encoder's layers that are in memory at once."""
_ADAM_COPIES = 4
"""Value, gradient and Adam's two moments."""
_POINT_BYTES = 31
"""Of a surface point besides its features: place, normal, colour, voxel, rival."""
_PICTURE_BYTES = 500e6
"""Of a chunk of rays that is marched for a picture."""


@dataclass(frozen=True, eq=False)
class Costs:
    """What a scene costs.

    Attributes:
        sizes: what there is of it.
        seconds: by stage.
        memory: by stage, bytes at the peak.
        disk: by stage, bytes of what is worth telling.
    """

    sizes: SceneSizes
    seconds: Mapping[str, float]
    memory: Mapping[str, float]
    disk: Mapping[str, float]


def scene_costs(params: Preset, shape: SceneShape, device: torch.device) -> Costs:
    """Count, and time short runs on the device.

    Raises:
        WeightsError: a model is not known.
    """
    tower, side = clip_tower(params.clip_features.model)
    network, patch = dino_network(params.dino_features.model)
    down = params.dino_features.downscale
    grid = [int(length / down) // patch for length in (shape.height, shape.width)]
    clip = encoder_cost(tower, side, side)
    dino = encoder_cost(network, grid[0] * patch, grid[1] * patch)
    sizes = count_sizes(params, shape, clip, dino, grid[0] * grid[1])
    batch = encoder_batch(params.clip_features.batch, device)
    with encoder_workers(device) as workers:
        inputs = workers * batch
    clip_rate = seconds_per_flop(tower, side, batch, device)
    dino_rate = seconds_per_flop(network, _TIMED_TOKENS_SIDE * patch, 1, device)
    seconds = {
        "poses": pose_seconds(params.poses, shape),
        "clip_features": clip_rate * clip.flops * sum(sizes.windows) * sizes.clip_views,
        "dino_features": dino_rate * dino.flops * shape.photos,
        **_field_seconds(params, shape, device),
    }
    return Costs(
        sizes=sizes,
        seconds={stage: _START_SECONDS + value for stage, value in seconds.items()},
        memory=_memory(params, sizes, inputs),
        disk={
            "clip_features": sizes.clip_bytes,
            "dino_features": sizes.token_bytes,
            "reconstruct": sizes.field_bytes,
            "lift": _surface_points(params) * (len(sizes.windows) * clip.dim + _POINT_BYTES),
            "distill": sizes.field_bytes + sizes.volume_bytes,
        },
    )


def matched_pairs(count: int, matching: str) -> int:
    """Return about how many pairs of photos are matched (at most; see `photo_pairs`)."""
    if matching == "exhaustive" or (matching == "auto" and count <= EXHAUSTIVE_UP_TO):
        return count * (count - 1) // 2
    more = SIMILAR if matching == "auto" else count.bit_length()
    return count * (SEQUENTIAL_OVERLAP + more)


def pose_seconds(params: PosesParams, shape: SceneShape) -> float:
    """Estimate stage poses; SIFT and matching use all cores, mapping one."""
    sift = shape.photos * _sift_pixels(params, shape) / 1e6 * _SIFT_SECONDS
    pairs = matched_pairs(shape.photos, params.matching) * params.max_features**2 * _PAIR_SECONDS
    return (sift + pairs) / _cores() + shape.photos * _MAP_SECONDS


def _sift_pixels(params: PosesParams, shape: SceneShape) -> float:
    """Return the pixels of a photo as SIFT sees it; doubled first, they are four times as many."""
    shrink = min(1.0, params.max_image_size / max(shape.width, shape.height))
    return float(shape.pixels(1 / shrink) * 4.0**-params.first_octave)


def _cores() -> int:
    return os.cpu_count() or 1


def _memory(params: Preset, sizes: SceneSizes, clip_inputs: int) -> dict[str, float]:
    clip, dino, shape, own = sizes.clip, sizes.dino, sizes.shape, params.distill
    rays = shape.trained * shape.pixels(params.reconstruct.downscale)
    table = params.reconstruct.voxels_end * FLOAT
    channels = sum(params.reconstruct.appearance_ranks) + sum(params.reconstruct.density_ranks)
    batch = params.reconstruct.batch * _TRAIN_SAMPLES * channels * FLOAT
    drawn = (own.batch + own.patches * own.patch_tokens**2) * _BAKED_SAMPLES * channels * FLOAT
    pixels = shape.trained * shape.pixels(own.downscale)
    baked = (pixels + shape.trained * sizes.tokens) * _BAKED_SAMPLES * _BAKED_BYTES
    scores = pixels * shape.labels * len(sizes.windows) * 2
    # FDA keeps nothing per pair of tokens but its weight, and that twice for half of the pairs.
    fda = own.patches * own.patch_tokens**4 * FLOAT
    decoded = shape.pixels(1) * _DECODED_BYTES
    pictures = _PICTURE_BYTES + sizes.field_bytes + table
    alive = {
        "poses": _COLMAP_BYTES + _sift_pixels(params.poses, shape) * _SIFT_BYTES * _cores(),
        "clip_features": decoded
        + FLOAT * (_MODEL_COPIES * clip.parameters + clip_inputs * clip.largest * _LAYERS_ALIVE),
        "dino_features": decoded
        + FLOAT * (_MODEL_COPIES * dino.parameters + dino.largest * _LAYERS_ALIVE),
        "reconstruct": rays * _RAY_BYTES + _ADAM_COPIES * (sizes.field_bytes + batch) + 2 * table,
        "lift": pictures
        + _surface_points(params) * len(sizes.windows) * clip.dim * FLOAT
        + FLOAT * _MODEL_COPIES * clip.parameters,
        "distill": sizes.clip_bytes
        + sizes.token_bytes
        + baked
        + scores
        + fda
        + _ADAM_COPIES * (sizes.field_bytes + sizes.volume_bytes + drawn),
        "evaluate": pictures,
        "render": pictures,
    }
    return {stage: _START_BYTES + value for stage, value in alive.items()}


def _surface_points(params: Preset) -> float:
    """Return about how many voxels hold a surface: twice the square of the grid's side."""
    side: float = params.reconstruct.voxels_end ** (1 / 3)
    return min(params.lift.points, 2 * side * side)


def _field_seconds(params: Preset, shape: SceneShape, device: torch.device) -> dict[str, float]:
    """Estimate what works with the field from the time that its volumes take for a point."""
    forward, training = _seconds_per_point(params, device)
    own, distill = params.reconstruct, params.distill
    drawn = distill.batch + distill.patches * distill.patch_tokens**2
    views = shape.held_out or 1
    scored = views * shape.pixels(params.evaluate.downscale)
    flown = (params.render.frames + views) * shape.pixels(params.render.downscale)
    flown += params.render.points
    return {
        "reconstruct": own.iterations * own.batch * _TRAIN_SAMPLES * training,
        # Once to find the surface, once to carry features to it.
        "lift": 2
        * shape.trained
        * shape.pixels(params.lift.downscale)
        * _PICTURE_SAMPLES
        * forward,
        "distill": distill.iterations * drawn * _BAKED_SAMPLES * training,
        "evaluate": scored * _PICTURE_SAMPLES * forward,
        "render": flown * _PICTURE_SAMPLES * forward,
    }


def _seconds_per_point(params: Preset, device: torch.device) -> tuple[float, float]:
    """Time a point in the volumes of density and appearance, without and with gradients."""
    own = params.reconstruct
    side = round(min(own.voxels_end, _TIMED_VOXELS) ** (1 / 3))
    generator = make_generator(0, device)
    volumes = [
        VmVolume(ranks, (side,) * 3, generator)
        for ranks in (own.density_ranks, own.appearance_ranks)
    ]
    points = torch.rand(_TIMED_POINTS, 3, generator=generator, device=device) * 2 - 1

    def run(backward: bool) -> None:
        with torch.set_grad_enabled(backward):
            total = sum(volume.features(points).square().sum() for volume in volumes)
        if backward and isinstance(total, torch.Tensor):
            total.backward()

    run(True)
    forward, training = (seconds_of(partial(run, backward), device) for backward in (False, True))
    return forward / _TIMED_POINTS, training / _TIMED_POINTS
