"""Terms of the reconstruction loss beside the squared colour error."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ovs3d.field.compact import ray_of_sample
from ovs3d.field.vm import VmVolume

# TensoRF's code scales its total variation by this; its weights (1.0) are meant with it.
_TV_SCALE = 2e-2


def total_variation(volume: VmVolume) -> Tensor:
    """Return the mean squared difference of neighbours on the planes of a volume (TensoRF, Eq. 9).

    Per plane the two directions are averaged each on its own, as in TensoRF's code.
    """
    total: Tensor = volume.planes[0].new_zeros(())
    for plane in volume.planes:
        for axis in (0, 1):
            total = total + plane.diff(dim=axis).square().mean()
    return total * _TV_SCALE


def distortion(weights: Tensor, positions: Tensor, offsets: Tensor, step: float) -> Tensor:
    """Return how spread out the weights of rays are (Mip-NeRF 360, Barron et al. 2022, Eq. 15).

    `sum_ij w_i w_j |m_i - m_j| + step / 3 * sum_i w_i^2`, the mean over rays; it pulls the weight
    of a ray into one place and so removes floaters. Linear in the number of samples.

    Args:
        weights: `[N]`; gradients flow to them alone.
        positions: `[N]`, middle of each sample's interval, increasing on a ray.
        offsets: int64 `[R + 1]`, see `ovs3d.field.samples`.
        step: length of an interval.
    """
    loss: Tensor = _Distortion.apply(weights, positions, offsets, step)
    return loss


class _Context(torch.autograd.function.FunctionCtx):
    """What `_Distortion` keeps for its gradient."""

    saved_tensors: tuple[Tensor, ...]


class _Distortion(torch.autograd.Function):
    """The loss is a quadratic form, `w . A w`: one pass gives A w, hence value and gradient."""

    @staticmethod
    def forward(
        ctx: _Context, weights: Tensor, positions: Tensor, offsets: Tensor, step: float
    ) -> Tensor:
        rows = ray_of_sample(offsets, len(weights))
        w, m = weights.double(), positions.double()
        # For sample i: sum_j w_j |m_i - m_j| = m_i (before - behind) - (same sums of w m).
        balance = _before_minus_behind(w, offsets, rows)
        product = m * balance - _before_minus_behind(w * m, offsets, rows) + w * (step / 3)
        rays = max(1, len(offsets) - 1)
        ctx.save_for_backward((2 / rays * product).to(weights.dtype))
        return ((w * product).sum() / rays).to(weights.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (by_weight,) = ctx.saved_tensors
        return gradient * by_weight, None, None, None


def _before_minus_behind(values: Tensor, offsets: Tensor, rows: Tensor) -> Tensor:
    """Return for each sample the sum of the values in front of it minus that behind it."""
    total = functional.pad(values.cumsum(dim=0), (1, 0))
    before = total[:-1] - total[offsets[:-1]].index_select(0, rows)
    behind = total[offsets[1:]].index_select(0, rows) - total[1:]
    return before - behind
