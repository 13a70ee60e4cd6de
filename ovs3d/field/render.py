"""Samples to pixels: colour, depth and opacity of rays."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ovs3d.field.march import march_chunks
from ovs3d.field.model import Field
from ovs3d.field.samples import RaySamples, composite, total_weights

MIN_OPACITY = 0.5
"""Rays of less opacity have no label and end in no point.

Opacity is the probability that a ray ends in the field: below one half it more likely met nothing.
That is what the number means, so it is no parameter; nobody should gain a score by moving it.
"""
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Rendered:
    """Pixels of rays: color `[R, 3]` in [0, 1], depth `[R]` in world units, opacity `[R]`."""

    color: Tensor
    depth: Tensor
    opacity: Tensor


@torch.no_grad()
def render_rays(
    field: Field, origins: Tensor, directions: Tensor, weight_threshold: float = 1e-4
) -> Rendered:
    """Render rays; where nothing stops a ray its pixel stays black.

    Args:
        field: the field.
        origins: `[R, 3]`, world.
        directions: `[R, 3]`, world, camera-z 1 for depth to be z-depth.
        weight_threshold: samples of at most this weight get no colour.
    """
    colors, depths, opacities = [], [], []
    for rays, samples in march_chunks(field, origins, directions, weight_threshold):
        colors.append(shade(field, samples, directions[rays]))
        depths.append(samples.depth)
        opacities.append(samples.opacity)
    return Rendered(torch.cat(colors), torch.cat(depths), torch.cat(opacities))


def shade(field: Field, samples: RaySamples, directions: Tensor) -> Tensor:
    """Return the colours of rays; differentiable in the field and in weights and opacity.

    Args:
        field: its `config.shading` says how.
        samples: of the rays.
        directions: `[R, 3]`, world.

    Returns:
        `[R, 3]` before black.
    """
    components = field.appearance.features(samples.points)
    if field.config.shading == "sample":
        return shade_samples(field, components, samples, directions)
    # The basis is linear: summed before it, a sample costs no matrix product.
    vectors = field.basis(composite(components, samples.weights, samples.offsets))
    mass = total_weights(samples.weights, samples.offsets)
    return shade_rays(field, vectors / mass.clamp_min(_TINY)[:, None], samples, directions)


def shade_samples(
    field: Field, components: Tensor, samples: RaySamples, directions: Tensor
) -> Tensor:
    """Return colours as `shade` does, from the appearance components `[N, K]` of samples."""
    colors = field.colors(field.basis(components), directions.index_select(0, samples.rows))
    return composite(colors, samples.weights, samples.offsets)


def shade_rays(field: Field, means: Tensor, samples: RaySamples, directions: Tensor) -> Tensor:
    """Return colours as `shade` does, from the mean appearance vectors `[R, F]` of rays."""
    return field.colors(means, directions) * samples.opacity[:, None]
