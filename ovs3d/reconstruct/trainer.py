"""One training of the radiance field: its iterations, its growing grid, what of it is saved."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ovs3d.device import adam, make_generator, to_device
from ovs3d.field.compact import Room, keep, real_only
from ovs3d.field.march import Traced, trace
from ovs3d.field.model import Field, FieldConfig
from ovs3d.field.paths import longest, make_paths
from ovs3d.field.render import shade
from ovs3d.field.samples import RaySamples, sample_weights, total_weights
from ovs3d.photos.psnr import psnr_of
from ovs3d.reconstruct.losses import distortion, total_variation
from ovs3d.reconstruct.params import ReconstructParams
from ovs3d.reconstruct.photo_colours import PhotoColours
from ovs3d.reconstruct.rays import BatchSampler, RayPool
from ovs3d.space.space import Space

# Total variation is smooth in time: every fourth iteration, four times as strong, does the same.
_TV_EVERY = 4
# So are the densities by which samples are left out.
_TABLE_EVERY = 4


class Trainer:
    """A field in training: one `step` a call, growing and pruning on schedule."""

    log_every, watched = 50, "psnr"

    def __init__(self, pool: RayPool, space: Space, params: ReconstructParams, seed: int) -> None:
        self.pool = pool
        self.params = params
        self.device = pool.directions.device
        # Of the CPU on every device, which so draws the same.
        self.generator = make_generator(seed, torch.device("cpu"))
        self.sampler = BatchSampler(len(pool), params.batch, self.generator)
        config = FieldConfig(
            space=space,
            grid=space.grid(voxels_after(params, 0)),
            density_ranks=params.density_ranks,
            appearance_ranks=params.appearance_ranks,
            appearance_dim=params.appearance_dim,
            rgb_hidden=params.rgb_hidden,
            step_voxels=params.step_voxels,
            opacity_threshold=params.opacity_threshold,
            shading=params.shading,
        )
        self.field = Field(config, self.generator).to(self.device)
        self.colours = PhotoColours(len(pool.origins)).to(self.device)
        self.optimizer = self._new_optimizer()
        # Densities by which samples are left out; some iterations old.
        self._table: Tensor | None = None
        # Of the longest of all rays on the present grid, see `_bound`.
        self._most_steps: int | None = None
        # For samples in occupied space, those in sight, and those heavy enough for a colour.
        self._rooms = [Room(), Room(), Room()]

    def step(self, step: int) -> tuple[Tensor, Tensor]:
        """Do iteration `step` (from 1); return loss and mean squared colour error, detached."""
        decay = self.params.lr_decay ** (step / self.params.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial"] * decay
        if self._table is None or step % _TABLE_EVERY == 0:
            with torch.no_grad():
                self._table = self.field.density_table()
        rays = to_device(self.sampler.next(), self.device)
        origins, directions, target, photo = self.pool.batch(rays)
        color, spread = self._render(origins, directions)
        if self.params.photo_colours:
            color = self.colours(color, photo)
        error = (color - target).square().mean()
        loss = error + distortion_weight(self.params, step) * spread
        if step % _TV_EVERY == 0:
            # Falls as the learning rates do (TensoRF): a field that is done it would only blur.
            loss = loss + decay * _TV_EVERY * self._smoothness()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self._grow(step)
        return loss.detach(), error.detach()

    @property
    def iterations(self) -> int:
        """Of the whole training."""
        return self.params.iterations

    def iterate(self, step: int) -> Tensor:
        """Do iteration `step` (from 1); return loss and mean squared colour error, detached."""
        return torch.stack(self.step(step))

    def entry(self, means: Sequence[float]) -> dict[str, float]:
        """Return the loss and, of the colour error, the PSNR."""
        self._refit_rooms()
        loss, error = means
        return {"loss": loss, "psnr": psnr_of(error)}

    def state(self) -> dict[str, Any]:
        """Return all that the next steps depend on besides the rays and the parameters."""
        return {
            "config": self.field.config.to_dict(),
            "field": self.field.state_dict(),
            "occupancy": self.field.occupancy,
            "colours": self.colours.state_dict(),
            "table": self._table,
            "rooms": [room.rows for room in self._rooms],
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "sampler": self.sampler.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        self.field = Field(FieldConfig.from_dict(state["config"]), device=self.device)
        self.field.load_state_dict(state["field"])
        self.field.occupancy = state["occupancy"]
        self.colours.load_state_dict(state["colours"])
        self._table, self._most_steps = state["table"], None
        self._rooms = [Room(rows) for rows in state["rooms"]]
        self.optimizer = self._new_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.sampler.restore(state["sampler"])

    def _render(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Render rays on a random background; return colours and the distortion term."""
        field, params = self.field, self.params
        jitter, background = (
            to_device(torch.rand(size, generator=self.generator), self.device)
            for size in ((len(origins),), (len(origins), 3))
        )
        occupied, in_sight, heavy = self._rooms
        traced = trace(field, origins, directions, jitter, self._bound(), occupied)
        points, steps, offsets, real = self._visible(traced, in_sight)
        weights = sample_weights(real_only(field.optical_depth(points), real), offsets)
        opacity = total_weights(weights, offsets)
        kept = keep(weights.detach() > params.weight_threshold, offsets, heavy)
        samples = RaySamples(
            kept.offsets,
            kept.of(points),
            real_only(kept.of(weights), kept.real),
            torch.zeros_like(jitter),
            opacity,
        )
        # A background that cannot be learnt: only an opaque ray gets its colour right.
        color = shade(field, samples, directions) + (1 - opacity)[:, None] * background
        step = field.config.relative_step
        return color, distortion(weights, steps * step, offsets, step)

    def _bound(self) -> int | None:
        """Return how many steps the longest of all rays has, once per grid: nobody waits for it.

        None on a CPU, where nobody waits for the rays of an iteration either, and where all rays of
        a contracted scene take minutes to measure.
        """
        if self._most_steps is None and self.device.type != "cpu":
            field = self.field
            grid = (field.space, field.config.grid, field.config.step_voxels)
            self._most_steps = longest(make_paths(*grid, *rays) for rays in self.pool.rays())
        return self._most_steps

    @torch.no_grad()
    def _visible(self, traced: Traced, room: Room) -> Traced:
        """Leave out samples that so little light reaches that they cannot matter."""
        points, steps, offsets, real = traced
        optical_depth = real_only(self.field.optical_depth(points, self._table), real)
        weights = sample_weights(optical_depth, offsets)
        reached = weights > self.params.weight_threshold * -torch.expm1(-optical_depth)
        kept = keep(reached, offsets, room)
        return kept.of(points), kept.of(steps), kept.offsets, kept.real

    def _refit_rooms(self) -> None:
        """Outside the loop, tell if samples found no room, and choose the rooms anew."""
        lacking = max([room.refit() for room in self._rooms])
        if lacking:
            what = "samples of an iteration found no room on the device and were left out"
            print(f"reconstruct: {lacking} {what}", file=sys.stderr)

    def _smoothness(self) -> Tensor:
        density = total_variation(self.field.density) * self.params.tv_density
        return density + total_variation(self.field.appearance) * self.params.tv_appearance

    def _grow(self, step: int) -> None:
        params = self.params
        if step in params.upsample_at:
            self._refit_rooms()
            self._rooms = [Room(), Room(), Room()]
            self._table = self._most_steps = None
            self.field = self.field.upsampled(self.field.space.grid(voxels_after(params, step)))
            self.optimizer = self._new_optimizer()
        elif step in params.occupancy_at:
            self.field.update_occupancy(grow=1)

    def _new_optimizer(self) -> torch.optim.Adam:
        field, params = self.field, self.params
        volumes = [*field.density.parameters(), *field.appearance.parameters()]
        heads = [*field.basis.parameters(), *field.rgb.parameters(), *self.colours.parameters()]
        groups = [
            {"params": volumes, "lr": params.lr_volumes, "initial": params.lr_volumes},
            {"params": heads, "lr": params.lr_heads, "initial": params.lr_heads},
        ]
        return adam(groups)


def voxels_after(params: ReconstructParams, step: int) -> int:
    """Return the number of voxels once the growth at `step` is done: even steps in log space.

    Without `upsample_at` the grid has `voxels_end` from the start.
    """
    done = sum(at <= step for at in params.upsample_at)
    if done == len(params.upsample_at):
        return params.voxels_end
    share = done / len(params.upsample_at)
    ratio = params.voxels_end / params.voxels_start
    voxels: int = round(params.voxels_start * ratio**share)
    return voxels


def distortion_weight(params: ReconstructParams, step: int) -> float:
    """Return the weight of the distortion term: zero while the grid grows, then rising linearly.

    Earlier it would nail surfaces down before the views have agreed on where they are.
    """
    start = max(params.upsample_at, default=0)
    share = (step - start) / max(1, params.iterations - start)
    return params.distortion * max(0.0, share)
