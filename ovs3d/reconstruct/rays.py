"""The training rays of a scene: every pixel of every training view, in random order."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ovs3d.scene.cameras import Cameras, pixel_centres
from ovs3d.scene.dataset import Photos, load_photo


@dataclass(frozen=True, eq=False)
class RayPool:
    """All training rays; 15 bytes and a share of its view's origin a ray.

    Attributes:
        origins: `[V, 3]`, world, one a view.
        directions: `[V * P, 3]`, world, camera-z 1, view after view.
        colors: uint8 `[V * P, 3]`.
    """

    origins: Tensor
    directions: Tensor
    colors: Tensor

    def __len__(self) -> int:
        return len(self.directions)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return origins, directions and float colours `[B, 3]` in [0, 1] of rays int64 `[B]`."""
        view = torch.div(index, len(self) // len(self.origins), rounding_mode="floor")
        return self.origins[view], self.directions[index], self.colors[index] / 255


def load_rays(
    photos: Photos, cameras: Cameras, views: tuple[int, ...], downscale: int, device: torch.device
) -> RayPool:
    """Decode the photos of some views and cast a ray through every pixel.

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
    )


class BatchSampler:
    """Endless batches of ray numbers: each ray once before any comes again.

    Args:
        count: number of rays.
        batch: rays a batch.
        generator: on the device that the numbers shall be on.

    Attributes:
        order: numbers that are drawn and not yet given out.
    """

    def __init__(self, count: int, batch: int, generator: torch.Generator) -> None:
        self._count = count
        self._batch = min(batch, count)
        self._generator = generator
        self.order = torch.empty(0, dtype=torch.int64, device=generator.device)

    def next(self) -> Tensor:
        """Return the next batch, int64 `[B]`; a rest too small for a batch is passed over."""
        if len(self.order) < self._batch:
            self.order = torch.randperm(
                self._count, generator=self._generator, device=self._generator.device
            )
        batch, self.order = self.order[: self._batch], self.order[self._batch :]
        return batch
