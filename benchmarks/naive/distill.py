"""An iteration of distillation as the paper and TensoRF state it: march, decode every sample wide.

Each iteration places samples on the rays of the batch, evaluates density, composites transmittance,
evaluates appearance, head and selection where weight matters, and keeps the CLIP features of all
samples in one dense tensor of rays x samples x D, nearly all of it zeros.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.naive.fda import naive_fda
from benchmarks.synthetic import steps_per_ray
from ovs3d.distill.model import Segmentation
from ovs3d.distill.params import DistillParams
from ovs3d.field.march import trace
from ovs3d.field.model import DENSITY_SHIFT
from ovs3d.field.vm import AXES, VmVolume


@dataclass(frozen=True, eq=False)
class NaiveBatch:
    """What an iteration draws.

    Attributes:
        origins, directions: [B, 3] world, of the pixel rays.
        colors: [B, 3] in [0, 1].
        features: [B, N_s, D] pixel features, out of dense maps.
        relevancy: [B, N_s, C].
        token_origins, token_directions: [P, n, 3] world, of the tokens of P patches.
        tokens: [P, n, E], L2-normalised.
        lightest: [B], weight of the lightest sample of each pixel ray that counts.
        token_lightest: [P, n], likewise.
    """

    origins: Tensor
    directions: Tensor
    colors: Tensor
    features: Tensor
    relevancy: Tensor
    token_origins: Tensor
    token_directions: Tensor
    tokens: Tensor
    lightest: Tensor
    token_lightest: Tensor


@dataclass(frozen=True, eq=False)
class _Samples:
    """All samples of R rays: where one is kept [R, S], its weight [R, S, 1], its appearance [N]."""

    seen: Tensor
    kept: Tensor
    points: Tensor
    appearance: Tensor
    opacity: Tensor


def naive_terms(
    model: Segmentation,
    params: DistillParams,
    batch: NaiveBatch,
    joint: bool,
) -> Tensor:
    """Return total, colour, feature, RDA and FDA terms, differentiable.

    Args:
        model: field, head and selection.
        params: section `distill`.
        batch: rays and what they are compared with; samples lighter than its lightest get neither
            appearance nor features.
        joint: whether colour counts.
    """
    samples = _march(model, batch.origins, batch.directions, batch.lightest)
    weights = params.losses
    color = batch.colors.new_zeros(())
    if joint:
        color = functional.mse_loss(_color(model, samples, batch.directions), batch.colors)
    rendered, selection = _feature(model, samples), _selection(model, samples)
    unit = functional.normalize(batch.features, dim=-1)
    target = (selection[:, :, None] * unit).sum(1)
    feature = -functional.cosine_similarity(rendered, target, dim=-1).mean()
    p = functional.cosine_similarity(rendered[:, None], model.text[None], dim=-1).softmax(-1)
    q = (selection[:, :, None] * batch.relevancy).sum(1).softmax(-1)
    m = (p + q) / 2
    js = ((p * (p / m).log()).sum(-1) + (q * (q / m).log()).sum(-1)) / 2
    rda = js.mean()
    # Patches are rendered one after the other; all at once would take twice the memory.
    logits = [
        functional.cosine_similarity(
            _feature(model, _march(model, *patch))[:, None], model.text[None], dim=-1
        )
        for patch in zip(
            batch.token_origins, batch.token_directions, batch.token_lightest, strict=True
        )
    ]
    fda = naive_fda(torch.stack(logits), batch.tokens, params.fda)
    total = weights.color * color + weights.feature * feature + weights.rda * rda + fda
    return torch.stack((total, color, feature, rda, fda))


@torch.no_grad()
def lightest_kept(
    model: Segmentation, origins: Tensor, directions: Tensor, mass_kept: float
) -> Tensor:
    """Return the weight of the lightest of each ray's fewest samples that hold a share of it: [R].

    Not part of an iteration: other rules would cost the naive form nothing, and the losses of both
    forms can only be compared over the same samples.
    """
    _, weights = _weights(model, origins, directions)
    ordered = weights.double().sort(dim=1, descending=True).values
    heavier = ordered.cumsum(dim=1) - ordered
    last = (heavier < mass_kept * ordered.sum(dim=1, keepdim=True)).sum(dim=1, keepdim=True) - 1
    return ordered.gather(1, last.clamp(min=0))[:, 0].to(weights.dtype)


def _march(model: Segmentation, origins: Tensor, directions: Tensor, lightest: Tensor) -> _Samples:
    points, weights = _weights(model, origins, directions)
    seen = (weights > 0) & (weights >= lightest[:, None])
    appearance = model.field.basis(_grid_sample(model.field.appearance, points[seen]))
    return _Samples(seen, (weights * seen)[..., None], points[seen], appearance, weights.sum(1))


def _weights(model: Segmentation, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Return points [R, S, 3] and their weights [R, S]."""
    field = model.field
    points, valid = _dense_samples(model, origins, directions)
    raw = points.new_full(valid.shape, -1e4)
    raw[valid] = _grid_sample(field.density, points[valid]).sum(1)
    sigma = functional.softplus(raw + DENSITY_SHIFT).detach()
    alpha = 1 - torch.exp(-sigma * field.config.step_length)
    ones = alpha.new_ones(len(alpha), 1)
    transmittance = torch.cumprod(torch.cat((ones, 1 - alpha), dim=1), dim=1)[:, :-1]
    return points, alpha * transmittance


def _feature(model: Segmentation, samples: _Samples) -> Tensor:
    decoded = samples.appearance
    for layer in model.head.layers:
        decoded = layer(decoded)
    return _composite(samples, decoded)


def _selection(model: Segmentation, samples: _Samples) -> Tensor:
    if model.selection is None:
        return model.scale_weights.expand(len(samples.seen), -1)
    values = model.selection.basis(_grid_sample(model.selection.volume, samples.points))
    return _composite(samples, values).softmax(-1)


def _color(model: Segmentation, samples: _Samples, directions: Tensor) -> Tensor:
    field = model.field
    if field.config.shading == "sample":
        along = directions[:, None].expand(*samples.seen.shape, 3)[samples.seen]
        return _composite(samples, field.colors(samples.appearance, along))
    mean = _composite(samples, samples.appearance) / samples.kept.sum(1).clamp(min=1e-6)
    return field.colors(mean, directions) * samples.opacity[:, None]


def _composite(samples: _Samples, values: Tensor) -> Tensor:
    dense = values.new_zeros(*samples.seen.shape, values.shape[1])
    dense[samples.seen] = values
    return torch.sum(samples.kept * dense, dim=1)


def _dense_samples(
    model: Segmentation, origins: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor]:
    """Return points [R, S, 3] and which are occupied [R, S], as many samples for every ray."""
    points, steps, offsets, _ = trace(model.field, origins, directions)
    rows = torch.repeat_interleave(torch.arange(len(origins)), offsets.diff())
    columns = steps.long()
    size = (len(origins), steps_per_ray(model.field))
    dense, valid = points.new_zeros(*size, 3), torch.zeros(size, dtype=torch.bool)
    dense[rows, columns], valid[rows, columns] = points, True
    return dense, valid


def _grid_sample(volume: VmVolume, points: Tensor) -> Tensor:
    """Evaluate a volume [N, sum of ranks] as TensoRF does, by `grid_sample`."""
    parts = []
    for (a, b, c), plane, line in zip(AXES, volume.planes, volume.lines, strict=True):
        at = points[:, [b, a]].view(1, -1, 1, 2)
        on_plane = functional.grid_sample(plane.permute(2, 0, 1)[None], at, align_corners=True)
        at = torch.stack((torch.zeros_like(points[:, c]), points[:, c]), dim=1).view(1, -1, 1, 2)
        on_line = functional.grid_sample(line.T[None, :, :, None], at, align_corners=True)
        parts.append((on_plane * on_line)[0, :, :, 0].T)
    return torch.cat(parts, dim=1)
