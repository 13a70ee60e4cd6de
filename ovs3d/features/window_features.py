"""Pixel features from windows (Algorithm 1): the mean of the windows that cover a pixel.

A window says most about its middle. In the plain mean, those that show a thing at their edge blur
its outline; weights that fall with the distance of a pixel from a window's centre keep it sharp.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from ovs3d.device import chunk_size
from ovs3d.features.windows import Lattice

# Four numbers of 15 bits in one int64. With the bit above each of them set, one subtraction
# compares all four: the bit survives where what is subtracted is no larger, and none borrows.
_LIMIT = (1 << 15) - 1
_HIGH_BITS = 0x8000_8000_8000_8000 - (1 << 64)
_PIXELS_PER_CHUNK = 2048
"""Pixels of a dense map that are gathered at a time: about 100 MB at 3 scales of 512 numbers."""


@dataclass(frozen=True)
class _Scale:
    """Where the windows that can cover a pixel stand among those of one scale.

    A window reaches at most one stride beyond its square, so these are a block of the lattice:
    as many rows and columns for every pixel, starting at a row and a column looked up here.
    """

    first_columns: Tensor
    """[width] int64."""
    first_rows: Tensor
    """[height] int64, times the number of columns, plus the first window of the scale."""
    block: Tensor
    """[K] int64 steps from the first window of a block to each of them."""
    size: int
    """Side of the squares."""


class WindowFeatures:
    """The windows of some views in memory, on one device, gathered as pixel features.

    Attributes:
        views: photo indices in the order of the tensors.
        width: of the working image, in pixels.
        height: of the working image, in pixels.
        scales: N_s.
        dim: D.
    """

    def __init__(
        self,
        views: Sequence[int],
        size: tuple[int, int],
        lattices: Sequence[Lattice],
        embeddings: Tensor,
        boxes: Tensor,
        sigma: float | None = None,
    ) -> None:
        """Keep the windows and look up which of them can cover which pixel.

        Args:
            views: V photo indices.
            size: width and height of the working image.
            lattices: of the scales.
            embeddings: [V, M, D] float16, the windows of all scales one after the other; on the
                device of the boxes, or on the CPU because they are too many.
            boxes: [V, M, 4] int16 as from `windows`, on the device to gather on.
            sigma: a window's weight at a pixel is a Gaussian of the distance to its centre with
                this standard deviation, in sides of the scale's squares; None: all weigh the same.
        """
        self.views = tuple(views)
        self.width, self.height = size
        self.scales = len(lattices)
        self.dim = embeddings.shape[2]
        device = boxes.device
        self._embeddings = embeddings.flatten(0, 1)
        left, upper, right, lower = boxes.flatten(0, 1).long().unbind(dim=1)
        self._sigma = sigma
        self._centres = torch.stack((left + right - 1, upper + lower - 1), dim=1) / 2
        self._boxes = _pack(left, upper, _LIMIT - right, _LIMIT - lower)
        self._scales = _block_tables(lattices, self.width, self.height, device)
        # An unknown view points behind the last window, where indexing fails.
        first = torch.full((max(self.views) + 1,), len(self._embeddings), dtype=torch.int64)
        first[list(self.views)] = torch.arange(len(self.views)) * boxes.shape[1]
        self._first_window = first.to(device)

    @property
    def device(self) -> torch.device:
        """Where features are gathered."""
        return self._boxes.device

    def gather(self, views: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
        """Return the features of pixels, each the weighted mean of the windows that cover it.

        Args:
            views: [N] int64 photo indices.
            ys: [N] int64 rows of the working images.
            xs: [N] int64 columns of the working images.

        Returns:
            [N, N_s, D] float32, not normalised. The sums are rounded to float16 once, which
            changes directions by less than 1e-6 in cosine.
        """
        result = torch.empty((len(ys), self.scales, self.dim), device=self.device)
        first_window = self._first_window[views]
        # left <= x, upper <= y, x < right and y < lower, for all windows of a block at once.
        pixel = _pack(xs, ys, _LIMIT - 1 - xs, _LIMIT - 1 - ys) | _HIGH_BITS
        for index, scale in enumerate(self._scales):
            corner = first_window + scale.first_rows[ys] + scale.first_columns[xs]
            candidates = corner[:, None] + scale.block
            # `index_select` takes a third of the time of `[]` on a CPU.
            boxes = self._boxes.index_select(0, candidates.view(-1)).view_as(candidates)
            room = pixel[:, None] - boxes
            covers = room & _HIGH_BITS == _HIGH_BITS
            weights, total = self._weights(scale, candidates, covers, xs, ys)
            sums = self._sums(candidates, covers, weights)
            torch.mul(sums, total.to(result.dtype).reciprocal()[:, None], out=result[:, index])
        return result

    def _sums(self, candidates: Tensor, covers: Tensor, weights: Tensor | None) -> Tensor:
        """Return the weighted sums of the windows that cover pixels, [N, D]."""
        source = self._embeddings.device
        if source.type != "cpu":
            # How many cover a pixel the host would have to ask for; a GPU rather reads them all.
            weights = covers.to(self._embeddings.dtype) if weights is None else weights
            return embedding_bag(
                candidates, self._embeddings, mode="sum", per_sample_weights=weights
            )
        counts = covers.sum(dim=1)
        found = covers.view(-1).nonzero().view(-1)
        if weights is not None:
            weights = weights.view(-1).index_select(0, found).to(source)
        return embedding_bag(
            candidates.view(-1).index_select(0, found).to(source),
            self._embeddings,
            (counts.cumsum(0) - counts).to(source),
            mode="sum",
            per_sample_weights=weights,
        ).to(self.device)

    def _weights(
        self, scale: _Scale, candidates: Tensor, covers: Tensor, xs: Tensor, ys: Tensor
    ) -> tuple[Tensor | None, Tensor]:
        """Return the windows' weights [N, K] in the embeddings' type, None if all are 1, and sums.

        The largest of a pixel is 1: half precision would round those far from every centre to 0.
        """
        if self._sigma is None:
            return None, covers.sum(dim=1)
        centres = self._centres.index_select(0, candidates.view(-1)).view(*candidates.shape, 2)
        distance = centres - torch.stack((xs, ys), dim=1)[:, None]
        exponent = distance.square().sum(-1) / (-2 * (self._sigma * scale.size) ** 2)
        exponent = exponent.masked_fill(~covers, -torch.inf)
        weights = (exponent - exponent.amax(1, keepdim=True)).exp().to(self._embeddings.dtype)
        return weights, weights.sum(dim=1, dtype=torch.float32)

    def relevancy(self, view: int, text: Tensor) -> Tensor:
        """Return the cosines between texts and the features of every pixel of a view.

        Args:
            view: photo index.
            text: [C, D] unit vectors on the windows' device.

        Returns:
            [C, N_s, height, width] float32 in [-1, 1].
        """
        pixels = torch.arange(self.height * self.width, device=self.device)
        cosines = self.cosines(
            torch.full_like(pixels, view), pixels // self.width, pixels % self.width, text
        )
        return cosines.permute(2, 1, 0).reshape(-1, self.scales, self.height, self.width)

    def cosines(self, views: Tensor, ys: Tensor, xs: Tensor, text: Tensor) -> Tensor:
        """Return the cosines between texts and the features of pixels.

        Args:
            views: [N] int64 photo indices.
            ys: [N] int64 rows of the working images.
            xs: [N] int64 columns of the working images.
            text: [C, D] unit vectors on the windows' device.

        Returns:
            [N, N_s, C] float32 in [-1, 1].
        """
        # Features, and their copies on the way.
        bytes_each = 3 * 4 * self.scales * self.dim
        most = chunk_size(_PIXELS_PER_CHUNK, bytes_each, self.device)
        chunks = (torch.split(each, most) for each in (views, ys, xs))
        return torch.cat(
            [normalize(self.gather(*chunk), dim=-1) @ text.T for chunk in zip(*chunks, strict=True)]
        )


def _block_tables(
    lattices: Sequence[Lattice], width: int, height: int, device: torch.device
) -> list[_Scale]:
    scales, first_window = [], 0
    for lattice in lattices:
        columns = len(lattice.lefts)
        first_columns, across = _blocks(lattice.lefts, lattice, width)
        first_rows, down = _blocks(lattice.uppers, lattice, height)
        block = torch.arange(down)[:, None] * columns + torch.arange(across)
        scales.append(
            _Scale(
                first_columns.to(device),
                (first_rows * columns + first_window).to(device),
                block.flatten().to(device),
                lattice.size,
            )
        )
        first_window += lattice.count
    return scales


def _blocks(starts: Sequence[int], lattice: Lattice, length: int) -> tuple[Tensor, int]:
    """Return per pixel the first square that can reach it, and how many can at most."""
    pixel, start = torch.arange(length), torch.tensor(starts)
    reach = lattice.size + lattice.stride
    first = torch.searchsorted(start, pixel - reach, right=True)
    behind = torch.searchsorted(start, pixel + lattice.stride, right=True)
    count = int((behind - first).max())
    # Blocks of equal size: those at the far border start earlier instead of ending beyond it.
    return first.clamp(max=len(starts) - count), count


def _pack(first: Tensor, second: Tensor, third: Tensor, fourth: Tensor) -> Tensor:
    """Put four int64 tensors of 0..32767 into the 16-bit lanes of one."""
    return first | second << 16 | third << 32 | fourth << 48
