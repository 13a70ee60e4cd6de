"""The training rays of a scene: the pixels of every training view, in random order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ovs3d.photos.dataset import Photos, load_photo, usable_pixels
from ovs3d.space.cameras import Cameras, pixel_centres


@dataclass(frozen=True, eq=False)
class RayPool:
    """All training rays; 15 bytes and a share of its view's origin a ray.

    Attributes:
        origins: `[V, 3]`, world, one a view.
        directions: `[V * P, 3]`, world, camera-z 1, view after view.
        colors: uint8 `[V * P, 3]`.
        usable: int64 `[R]`, those of the rays that are trained on; None if all are.
    """

    origins: Tensor
    directions: Tensor
    colors: Tensor
    usable: Tensor | None = None

    def __len__(self) -> int:
        return len(self.directions if self.usable is None else self.usable)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Look up rays.

        Args:
            index: int64 `[B]`.

        Returns:
            Origins, directions and float colours `[B, 3]`, the last in [0, 1], and int64 `[B]` the
            number of each ray's view.
        """
        if self.usable is not None:
            index = self.usable[index]
        pixels = len(self.directions) // len(self.origins)
        view = torch.div(index, pixels, rounding_mode="floor")
        return self.origins[view], self.directions[index], self.colors[index] / 255, view

    def rays(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Return origins and directions of all rays, a view at a time."""
        per_view = len(self) // len(self.origins)
        for origin, directions in zip(
            self.origins, torch.split(self.directions, per_view), strict=True
        ):
            yield origin.expand_as(directions), directions


def load_rays(
    photos: Photos, cameras: Cameras, views: tuple[int, ...], downscale: int, device: torch.device
) -> RayPool:
    """Decode the photos of some views and cast a ray through every pixel.

    Pixels that a photo leaves out by its alpha are not trained on.

    Raises:
        PosesError: a view has no pose.
        SceneError: a photo cannot be decoded.
    """
    xy = pixel_centres(photos.width, photos.height, downscale)
    origins, directions, colors = [], [], []
    for view in views:
        origin, direction = cameras.rays(view, xy)
        origins.append(origin[0])
        directions.append(direction)
        colors.append(load_photo(photos.paths[view], downscale).view(-1, 3))
    return RayPool(
        torch.stack(origins).to(device),
        torch.cat(directions).to(device),
        torch.cat(colors).to(device),
        usable_pixels(photos, views, downscale, device),
    )


class BatchSampler:
    """Endless batches of ray numbers: each ray once before any comes again.

    Args:
        count: number of rays.
        batch: rays a batch.
        generator: of the device that the numbers shall be on.
    """

    def __init__(self, count: int, batch: int, generator: torch.Generator) -> None:
        self._count = count
        self._batch = min(batch, count)
        self._generator = generator
        self._order = torch.empty(0, dtype=torch.int64, device=generator.device)
        # How many of the order were given out, and the generator's state that made it.
        self._given = count
        self._origin = generator.get_state()

    def next(self) -> Tensor:
        """Return the next batch, int64 `[B]`; a rest too small for a batch is passed over."""
        if self._given + self._batch > self._count:
            self._origin, self._given = self._generator.get_state(), 0
            self._order = self._shuffled(self._generator)
        batch = self._order[self._given : self._given + self._batch]
        self._given += self._batch
        return batch

    def state(self) -> dict[str, Any]:
        """Return what the next batches depend on besides the generator, in a few kilobytes."""
        return {"given": self._given, "origin": self._origin}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state; the generator keeps its own."""
        self._given, self._origin = state["given"], state["origin"].cpu()
        again = torch.Generator(self._generator.device)
        again.set_state(self._origin)
        self._order = self._shuffled(again)

    def _shuffled(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(self._count, generator=generator, device=generator.device)
