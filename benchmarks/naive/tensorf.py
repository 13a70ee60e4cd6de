"""TensoRF as published (Chen et al. 2022), plainly: `grid_sample`, every sample of every ray.

Constants are those of the authors' configuration for forward-facing scenes; grid sizes, batch and
number of iterations come from a `Schedule`, scaled to the scene.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ovs3d.space.space import Grid, Space

_PLANE_AXES = ((0, 1), (0, 2), (1, 2))
_LINE_AXES = (2, 1, 0)
_DISTANCE_SCALE = 25.0
_STEP_VOXELS = 0.5
_WEIGHT_THRESHOLD = 1e-4
_ALPHA_THRESHOLD = 1e-4
DENSITY_RANKS, COLOR_RANKS = (16, 4, 4), (48, 12, 12)
_VECTOR, _HIDDEN = 27, 128
_LR_VOLUMES, _LR_HEADS, _LR_DECAY = 0.02, 1e-3, 0.1
_TV_SCALE = 1e-2
_NODES_PER_CHUNK = 1 << 18


@dataclass(frozen=True)
class Schedule:
    """When what happens; iterations count from 1.

    Attributes:
        iterations: over which learning rates fall to a tenth.
        voxels_start: of the first grid.
        voxels_end: of the last.
        upsample_at: growth, evenly in log space.
        mask_at: renewals of the alpha mask.
    """

    iterations: int
    voxels_start: int
    voxels_end: int
    upsample_at: tuple[int, ...]
    mask_at: tuple[int, ...]


class Volume(nn.Module):
    """Planes `[1, R, b, a]` and lines `[1, R, c, 1]` as `grid_sample` wants them."""

    def __init__(self, ranks: tuple[int, int, int], grid: Grid) -> None:
        super().__init__()
        self.planes = nn.ParameterList(
            0.1 * torch.randn(1, rank, grid[b], grid[a])
            for rank, (a, b) in zip(ranks, _PLANE_AXES, strict=True)
        )
        self.lines = nn.ParameterList(
            0.1 * torch.randn(1, rank, grid[c], 1)
            for rank, c in zip(ranks, _LINE_AXES, strict=True)
        )

    def forward(self, points: Tensor) -> Tensor:
        """Return all components `[N, sum of ranks]` at points `[N, 3]` in [-1, 1]."""
        parts = []
        for number, axes in enumerate(_PLANE_AXES):
            at_plane = points[:, axes].view(1, -1, 1, 2)
            along = points[:, _LINE_AXES[number]]
            at_line = torch.stack([torch.zeros_like(along), along], dim=1).view(1, -1, 1, 2)
            plane = functional.grid_sample(self.planes[number], at_plane, align_corners=True)
            line = functional.grid_sample(self.lines[number], at_line, align_corners=True)
            parts.append((plane * line).view(plane.shape[1], len(points)))
        return torch.cat(parts).T

    @torch.no_grad()
    def upsample(self, grid: Grid) -> None:
        """Interpolate to another grid."""
        for number, (a, b) in enumerate(_PLANE_AXES):
            sizes = ((grid[b], grid[a]), (grid[_LINE_AXES[number]], 1))
            for tables, size in zip((self.planes, self.lines), sizes, strict=True):
                finer = functional.interpolate(
                    tables[number], size, mode="bilinear", align_corners=True
                )
                tables[number] = nn.Parameter(finer)

    def total_variation(self) -> Tensor:
        """Return the regularisation of the planes (Eq. 9)."""
        terms = [
            2 * plane.diff(dim=axis).square().mean() for plane in self.planes for axis in (2, 3)
        ]
        return _TV_SCALE * torch.stack(terms).sum()


class Tensorf(nn.Module):
    """The whole model and its training step."""

    def __init__(self, space: Space, schedule: Schedule) -> None:
        super().__init__()
        self.space, self.schedule = space, schedule
        self.grid = space.grid(schedule.voxels_start)
        self.density = Volume(DENSITY_RANKS, self.grid)
        self.appearance = Volume(COLOR_RANKS, self.grid)
        self.basis = nn.Linear(sum(COLOR_RANKS), _VECTOR, bias=False)
        self.head = nn.Sequential(
            nn.Linear(_VECTOR + 3, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, 3),
            nn.Sigmoid(),
        )
        self.alpha: Tensor | None = None
        self.optimizer = self._new_optimizer()

    def step(self, number: int, origins: Tensor, directions: Tensor, target: Tensor) -> float:
        """Do iteration `number` on a batch of rays and return its squared colour error."""
        decay = _LR_DECAY ** (number / self.schedule.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial"] * decay
        color = self.render(origins, directions, jitter=True)
        error = (color - target).square().mean()
        smooth = self.density.total_variation() + self.appearance.total_variation()
        self.optimizer.zero_grad()
        (error + decay * smooth).backward()
        self.optimizer.step()
        if number in self.schedule.mask_at:
            self.update_alpha()
        if number in self.schedule.upsample_at:
            self._grow(number)
        return float(error.detach())

    def render(self, origins: Tensor, directions: Tensor, jitter: bool = False) -> Tensor:
        """Return colours `[R, 3]` over black; the same number of samples on every ray."""
        start, end = self.space.segments(origins, directions)
        size = start.new_tensor([(nodes - 1) / 2 for nodes in self.grid])
        length = ((end - start) * size).norm(dim=1)
        count = max(1, math.ceil(float(length.max()) / _STEP_VOXELS))
        steps = torch.arange(count) + (torch.rand(len(start), 1) if jitter else 0.5)
        share = steps * _STEP_VOXELS / length.clamp_min(1e-6)[:, None]
        points = start[:, None] + share[..., None] * (end - start)[:, None]
        valid = share < 1
        if self.alpha is not None:
            valid &= self._sample_alpha(points.view(-1, 3)).view(valid.shape) > 0
        density = torch.zeros(valid.shape)
        density[valid] = self._density(points[valid])
        step = _DISTANCE_SCALE * _STEP_VOXELS * 2 / (math.prod(n - 1 for n in self.grid) ** (1 / 3))
        alpha = 1 - torch.exp(-density * step)
        light = torch.cat([torch.ones(len(alpha), 1), 1 - alpha + 1e-10], dim=1).cumprod(dim=1)
        weights = alpha * light[:, :-1]
        heavy = weights > _WEIGHT_THRESHOLD
        views = functional.normalize(directions, dim=1)[:, None].expand_as(points)
        colors = torch.zeros_like(points)
        vectors = self.basis(self.appearance(points[heavy]))
        colors[heavy] = self.head(torch.cat([vectors, views[heavy]], dim=1))
        return (weights[..., None] * colors).sum(dim=1).clamp(0, 1)

    @torch.no_grad()
    def update_alpha(self) -> None:
        """Renew the mask of space that is not empty: opacity on the nodes, widened by one."""
        axes = [torch.linspace(-1, 1, nodes) for nodes in self.grid]
        nodes = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).view(-1, 3)
        step = _DISTANCE_SCALE * _STEP_VOXELS * 2 / (math.prod(n - 1 for n in self.grid) ** (1 / 3))
        alpha = torch.cat(
            [1 - torch.exp(-self._density(p) * step) for p in torch.split(nodes, _NODES_PER_CHUNK)]
        ).view(1, 1, *self.grid)
        widened = functional.max_pool3d(alpha, kernel_size=3, stride=1, padding=1)
        # grid_sample counts the last axis as x.
        self.alpha = (widened > _ALPHA_THRESHOLD).float().permute(0, 1, 4, 3, 2)

    def _sample_alpha(self, points: Tensor) -> Tensor:
        assert self.alpha is not None
        at = points.view(1, -1, 1, 1, 3)
        return functional.grid_sample(self.alpha, at, align_corners=True).view(-1)

    def _density(self, points: Tensor) -> Tensor:
        # ReLU, as the authors take for forward-facing scenes (softplus for objects).
        return functional.relu(self.density(points).sum(dim=1))

    def _grow(self, number: int) -> None:
        schedule = self.schedule
        share = sum(at <= number for at in schedule.upsample_at) / len(schedule.upsample_at)
        voxels = schedule.voxels_start * (schedule.voxels_end / schedule.voxels_start) ** share
        self.grid = self.space.grid(round(voxels))
        self.density.upsample(self.grid)
        self.appearance.upsample(self.grid)
        self.optimizer = self._new_optimizer()

    def _new_optimizer(self) -> torch.optim.Adam:
        volumes = [*self.density.parameters(), *self.appearance.parameters()]
        heads = [*self.basis.parameters(), *self.head.parameters()]
        groups = [
            {"params": volumes, "lr": _LR_VOLUMES, "initial": _LR_VOLUMES},
            {"params": heads, "lr": _LR_HEADS, "initial": _LR_HEADS},
        ]
        return torch.optim.Adam(groups, betas=(0.9, 0.99))
