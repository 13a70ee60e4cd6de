"""The two phases of training (Sec. A.3), which differ in where the vectors of rays come from.

A ray shows the composited vector (sum_i w_i B a_i, sum_i w_i): a_i is what the appearance volume
has at sample i, w_i the baked weight of the sample, B the basis. In the first phase volume and
basis are frozen, so the vectors of all training rays are constants.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ovs3d.device import chunk_size
from ovs3d.distill.model import BYTES_PER_RAY, RAYS_PER_CHUNK, Appearance, Segmentation
from ovs3d.distill.pixel_bank import PixelBank
from ovs3d.distill.token_bank import TokenBank
from ovs3d.field.samples import RaySamples, join
from ovs3d.field.vm import Corners
from ovs3d.spill import Drawn, Spill, take


@dataclass(frozen=True, eq=False)
class Seen:
    """What an iteration sees along the rays of B pixels and T tokens.

    Attributes:
        rays: [B + T, appearance_dim + 1] composited vectors, those of the pixels first.
        samples: of the pixels' rays.
        corners: what these samples read of a volume.
        appearance: of all these rays, to colour them; None while colours are frozen.
    """

    rays: Tensor
    samples: RaySamples
    corners: Corners
    appearance: Appearance | None


class FirstPhase:
    """Appearance is frozen: the vectors of all training rays are composited once."""

    def __init__(
        self, model: Segmentation, pixels: PixelBank, tokens: TokenBank, spill: Spill
    ) -> None:
        """Composite them, as [rays of both banks, appearance_dim + 1] that the spill takes."""
        self._model, self._pixels = model, pixels
        self._rays: Tensor  # of the pixels, then of the tokens
        (self._rays,) = spill.collect(
            (rays,) for bank in (pixels, tokens) for rays in self._composite(bank.rays.samples)
        )

    def look(self, pixels: Drawn, tokens: Drawn) -> Seen:
        """Return what rays of the two banks show: B int64 row numbers of one, T of the other."""
        samples = self._pixels.rays.select(pixels)
        corners = self._model.corners(samples)
        both = torch.cat((pixels.here, tokens.here + len(self._pixels)))
        return Seen(take(self._rays, Drawn.on(pixels.there.device, both)), samples, corners, None)

    def _composite(self, samples: RaySamples) -> Iterator[Tensor]:
        rays = torch.arange(len(samples.offsets) - 1, device=samples.offsets.device)
        # Half a chunk of rendering: these are samples of training rays, of which more are kept.
        most = chunk_size(RAYS_PER_CHUNK // 2, BYTES_PER_RAY, self._model.text.device)
        for kept in map(samples.select, torch.split(rays, most)):
            yield self._model.appearance(kept, self._model.corners(kept)).rays.detach()


class JointPhase:
    """Appearance is trained, too: the vectors of an iteration's rays are composited in it."""

    def __init__(self, model: Segmentation, pixels: PixelBank, tokens: TokenBank) -> None:
        self._model, self._pixels, self._tokens = model, pixels, tokens

    def look(self, pixels: Drawn, tokens: Drawn) -> Seen:
        """Return what `FirstPhase.look` returns, differentiable, and what colours are made of."""
        samples = self._pixels.rays.select(pixels)
        joined = join(samples, self._tokens.rays.select(tokens))
        corners = self._model.corners(joined)
        appearance = self._model.appearance(joined, corners)
        return Seen(appearance.rays, samples, corners.first(len(samples.weights)), appearance)
