"""How the scales of windows are weighted along a ray: S(r) with sum_s S_s(r) = 1 (Eq. 2)."""

import torch
from torch import Tensor, nn

from ovs3d.field.model import Field, make_linear
from ovs3d.field.samples import RaySamples, composite
from ovs3d.field.vm import Corners, VmVolume


class SelectionVolume(nn.Module):
    """A volume of its own whose values, rendered and soft-maxed, weight the scales (Sec. 3.1)."""

    def __init__(
        self,
        field: Field,
        scales: int,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        config = field.config
        self.volume = VmVolume(config.density_ranks, config.grid, generator, device)
        channels = self.volume.channels
        self.basis = make_linear(channels, scales, False, generator=generator, device=device)

    def forward(self, samples: RaySamples, corners: Corners) -> Tensor:
        """Return S(r) = softmax(sum_i w_i S_i) as [R, N_s]."""
        rendered = composite(self.volume.at(corners), samples.weights, samples.offsets)
        # The basis is linear, so it may follow the sum over samples.
        return torch.softmax(self.basis(rendered), dim=-1)


def select_scales(values: Tensor, selection: Tensor) -> Tensor:
    """Weight the scales of every ray: sum_s S_s v_s.

    Args:
        values: [R, N_s, K]; [R, 1, K], if they are weighted already, are returned as they are.
        selection: [R, N_s], rows sum to 1.

    Returns:
        [R, K].
    """
    if values.shape[1] == 1:
        return values[:, 0]
    return torch.einsum("rsk,rs->rk", values, selection)
