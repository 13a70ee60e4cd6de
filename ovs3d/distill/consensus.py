"""What all views say of a surface: scores of pixels, averaged over the rays that see the same.

A single photo names a surface by few windows, some of which err. Their mean over all photos errs
less, and RDA's target made of it asks the same of a surface from every side.
"""

import math

import torch
from torch import Tensor

from ovs3d.device import chunk_size
from ovs3d.field.samples import RaySamples, composite
from ovs3d.field.voxels import coarsen, voxels
from ovs3d.space.space import Grid
from ovs3d.spill import take

_RAYS_PER_CHUNK, _BYTES_PER_RAY = 1 << 13, 1 << 14
_TINY = 1e-8


class Consensus:
    """Voxels with the mean of the scores of all rays that see them.

    A voxel has sum_i w_i s_i / sum_i w_i over the samples i in it, of all rays: w_i is a sample's
    weight in its pixel, s_i the score of that pixel.
    """

    def __init__(
        self, samples: RaySamples, grid: Grid, scores: Tensor, usable: Tensor | None = None
    ) -> None:
        """Average.

        Args:
            samples: of R rays.
            grid: of the field.
            scores: [R, N_s, C] of any device and floating type.
            usable: int64 rays that have a say; None if all have.
        """
        device = samples.offsets.device
        self._samples = samples
        self._cells = coarsen(grid)
        self._shape = scores.shape[1:]
        # Voxel -> its row in `_means`. Few voxels hold a sample: only those get a row.
        self._rows = torch.zeros(math.prod(self._cells), dtype=torch.int32, device=device)
        chunks = self._chunks(len(scores))
        for chunk in chunks:
            self._rows[voxels(samples.select(chunk).points, self._cells)] = 1
        count = int(self._rows.sum())
        self._rows = self._rows.cumsum(0, dtype=torch.int32).sub_(1)
        sums = torch.zeros(count, self._shape.numel() + 1, device=device)
        for chunk in chunks if usable is None else torch.split(usable, _RAYS_PER_CHUNK):
            part = samples.select(chunk)
            values = take(scores, chunk).float().flatten(1)
            values = torch.cat((values, torch.ones_like(values[:, :1])), dim=1)
            index = self._rows[voxels(part.points, self._cells)]
            sums.index_add_(0, index, values[part.rows] * part.weights[:, None])
        self._means = sums / sums[:, -1:].clamp_min(_TINY)

    @property
    def device(self) -> torch.device:
        """Of rays and scores that are asked for."""
        return self._samples.offsets.device

    def of(self, rays: Tensor) -> Tensor:
        """Return the scores of the surfaces that rays int64 [B] see: [B, N_s, C] float32.

        A ray has the mean of its voxels by the weights of its samples, and zeros if it has none.
        """
        part = self._samples.select(rays)
        index = self._rows[voxels(part.points, self._cells)]
        seen = composite(self._means[index], part.weights, part.offsets)
        return (seen[:, :-1] / seen[:, -1:].clamp_min(_TINY)).view(-1, *self._shape)

    def blend(self, scores: Tensor, share: float) -> None:
        """Mix this share of the consensus into the scores of all rays, in place."""
        for chunk in self._chunks(len(scores)):
            mixed = torch.lerp(take(scores, chunk).float(), self.of(chunk), share)
            scores[chunk.to(scores.device)] = mixed.to(scores)

    def _chunks(self, count: int) -> tuple[Tensor, ...]:
        rays = torch.arange(count, device=self.device)
        return torch.split(rays, chunk_size(_RAYS_PER_CHUNK, _BYTES_PER_RAY, self.device))
