"""The radiance field: density and appearance volumes, and the head that turns features to colour.

Architecture and constants are those of TensoRF (Chen et al. 2022), which Sec. A.3 adopts.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ovs3d.field.interpolation import trilinear
from ovs3d.field.occupancy import occupied_voxels
from ovs3d.field.vm import VmVolume
from ovs3d.sections import Shading
from ovs3d.space.space import Grid, Space

DENSITY_SHIFT = -3.0
"""Added before softplus: a new field is a fog that lets about a tenth of the light through.

TensoRF's code has -10, a field that starts empty. Then opacity first appears right before the
cameras and has to find its way back; in a fog every depth gets a gradient at once. On the demo
scene that reaches in 200 iterations what the empty start does not in 600."""
DISTANCE_SCALE = 25.0
"""Optical depth per unit of density and of grid length; the cube's side is 2 (TensoRF's code)."""
# Up to this many nodes (256 MB of float32) density is read from a table of all nodes.
_MAX_TABLE_NODES = 1 << 26
# Planes and lines at a point cost, gradient included, about what this many nodes of a table do.
_NODES_PER_POINT = 32


@dataclass(frozen=True)
class FieldConfig:
    """Everything that fixes the shape and the sampling of a field.

    Attributes:
        space: map from the world to the grid cube.
        grid: nodes per axis.
        density_ranks: components of the density volume per plane.
        appearance_ranks: components of the appearance volume per plane.
        appearance_dim: length of the appearance vector of a point.
        rgb_hidden: width of the colour head.
        step_voxels: distance of samples on a ray in voxels.
        opacity_threshold: opacity of one step up to which space counts as empty.
        shading: `sample` turns the appearance vector of every sample to a colour (TensoRF), `ray`
            only their weighted mean (deferred shading, Hedman et al. 2021, Sec. 4).
    """

    space: Space
    grid: Grid
    density_ranks: tuple[int, int, int]
    appearance_ranks: tuple[int, int, int]
    appearance_dim: int
    rgb_hidden: int
    step_voxels: float
    opacity_threshold: float
    shading: Shading

    @property
    def step_length(self) -> float:
        """Optical length of one step of a ray: `DISTANCE_SCALE` times its mean grid length."""
        return DISTANCE_SCALE * 2 * self.relative_step

    @property
    def relative_step(self) -> float:
        """Distance of samples on a ray relative to the side of the cube, the mean of its axes."""
        voxels = math.prod(nodes - 1 for nodes in self.grid)
        return float(self.step_voxels / voxels ** (1 / 3))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "FieldConfig":
        """Rebuild a config from `to_dict`, also after a round trip through JSON."""
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return FieldConfig(**{**plain, "space": Space.from_dict(values["space"])})


class RgbHead(nn.Module):
    """Appearance vector and view direction to colour: three layers, ReLU between, sigmoid last."""

    def __init__(
        self,
        features: int,
        hidden: int,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        sizes = [(features + 3, hidden), (hidden, hidden), (hidden, 3)]
        self.layers = nn.ModuleList(
            make_linear(a, b, True, generator=generator, device=device) for a, b in sizes
        )

    def forward(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return colours `[N, 3]` in [0, 1] of features `[N, F]` seen along world directions."""
        hidden = torch.cat([features, functional.normalize(directions, dim=1)], dim=1)
        for layer in self.layers[:-1]:
            hidden = functional.relu(layer(hidden))
        return torch.sigmoid(self.layers[-1](hidden))


class Field(nn.Module):
    """A radiance field over the grid cube.

    Args:
        config: shape and sampling.
        generator: source of the initial values; without it they are left undefined, for loading.
        device: where the tensors live; that of the generator if there is one.

    Attributes:
        density: volume whose components sum to the density before its activation.
        appearance: volume shared by colour and, in distillation, CLIP features.
        basis: linear map of appearance components to the appearance vector.
        rgb: colour head.
        occupancy: uint8 `[x, y, z]`, see `occupied_voxels`; all ones until `update_occupancy`.
    """

    occupancy: Tensor

    def __init__(
        self,
        config: FieldConfig,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        device = generator.device if generator is not None else device
        self.density = VmVolume(config.density_ranks, config.grid, generator, device)
        self.appearance = VmVolume(config.appearance_ranks, config.grid, generator, device)
        channels, size = self.appearance.channels, config.appearance_dim
        self.basis = make_linear(channels, size, False, generator=generator, device=device)
        self.rgb = RgbHead(size, config.rgb_hidden, generator, device)
        full = torch.ones(config.grid, dtype=torch.uint8, device=device)
        self.register_buffer("occupancy", full, persistent=False)

    @property
    def space(self) -> Space:
        """The map from the world to the grid cube."""
        return self.config.space

    def density_table(self) -> Tensor | None:
        """Return density before activation on all nodes `[x, y, z]`; None if that is too big.

        Interpolating one table reads 8 numbers a point where planes and lines take 6 times the
        ranks; the values are the same.
        """
        x, y, z = self.config.grid
        return self.density.node_sums() if x * y * z <= _MAX_TABLE_NODES else None

    def optical_depth(self, points: Tensor, table: Tensor | None = None) -> Tensor:
        """Return density times length of one step, `[N]`, at grid points `[N, 3]`.

        Args:
            points: `[N, 3]`, grid coordinates.
            table: `density_table()`, when many calls share it.
        """
        if table is None and len(points) * _NODES_PER_POINT > math.prod(self.config.grid):
            table = self.density_table()
        if table is None:
            raw = self.density.features(points).sum(dim=1)
        else:
            raw = trilinear(table, points)
        return functional.softplus(raw + DENSITY_SHIFT) * self.config.step_length

    def features(self, points: Tensor) -> Tensor:
        """Return the appearance vectors `[N, appearance_dim]` of grid points `[N, 3]`."""
        vectors: Tensor = self.basis(self.appearance.features(points))
        return vectors

    def colors(self, features: Tensor, directions: Tensor) -> Tensor:
        """Return colours `[N, 3]` in [0, 1].

        Args:
            features: `[N, appearance_dim]`.
            directions: `[N, 3]`, world, any length.
        """
        colors: Tensor = self.rgb(features, directions)
        return colors

    @torch.no_grad()
    def update_occupancy(self, grow: int = 0) -> None:
        """Make the occupancy mask anew from the density; `grow` as in `occupied_voxels`."""
        # Slabs of x keep the memory small on big grids; neighbours overlap by what grow reaches.
        x, y, z = self.config.grid
        slab = max(1, _MAX_TABLE_NODES // (8 * y * z))
        masks = []
        for first in range(0, x, slab):
            low, high = max(0, first - grow - 1), min(x, first + slab + 1 + grow)
            opacity = self._node_opacity(low, high)
            mask = occupied_voxels(opacity, self.config.opacity_threshold, grow)
            masks.append(mask[first - low : first - low + min(slab, x - first)])
        self.occupancy = torch.cat(masks)

    def _node_opacity(self, low: int, high: int) -> Tensor:
        raw = self.density.node_sums(low, high)
        depth = functional.softplus(raw + DENSITY_SHIFT) * self.config.step_length
        return -torch.expm1(-depth)

    @torch.no_grad()
    def upsampled(self, grid: Grid) -> "Field":
        """Return a copy on another grid; its occupancy is made anew, widened by one voxel."""
        config = replace(self.config, grid=grid)
        finer = Field(config, device=self.basis.weight.device)
        finer.density = self.density.upsampled(grid)
        finer.appearance = self.appearance.upsampled(grid)
        finer.basis.load_state_dict(self.basis.state_dict())
        finer.rgb.load_state_dict(self.rgb.state_dict())
        finer.update_occupancy(grow=1)
        return finer


def make_linear(
    inputs: int,
    outputs: int,
    bias: bool,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> nn.Linear:
    """Return a linear layer with torch's usual initial values, drawn from `generator`."""
    device = generator.device if generator is not None else device
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias, device=device)
    if generator is not None:
        bound = inputs**-0.5
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.uniform_(-bound, bound, generator=generator)
    return layer
