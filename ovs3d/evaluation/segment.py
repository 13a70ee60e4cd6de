"""Render one view through a segmentation: colours, depth, label scores and the chosen scale."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovs3d.field.render import MIN_OPACITY
from ovs3d.photos.dataset import NO_LABEL
from ovs3d.space.cameras import Cameras, pixel_centres


class Rendered(Protocol):
    """What a segmentation returns for R rays, C labels and N_s scales; all float32."""

    @property
    def color(self) -> Tensor:
        """[R, 3] in [0, 1]."""

    @property
    def depth(self) -> Tensor:
        """[R] along the direction as given: z-depth in world units for camera rays."""

    @property
    def opacity(self) -> Tensor:
        """[R] in [0, 1]."""

    @property
    def logits(self) -> Tensor:
        """[R, C] cosine of the rendered feature and the label's text feature."""

    @property
    def selection(self) -> Tensor:
        """[R, N_s], sums to 1 over the scales."""


class Segmenter(Protocol):
    """A field that knows its labels; `ovs3d.distill.model.Segmentation` is one."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the C labels; their order is that of the logits."""

    def render(self, origins: Tensor, directions: Tensor) -> Rendered:
        """Render R rays given by float32 [R, 3] origins and directions in the world frame."""


@dataclass(frozen=True)
class SegmentedView:
    """The rendering of one view at h x w pixels; float32 on the CPU."""

    color: NDArray[np.float32]
    """[h, w, 3] in [0, 1]."""
    depth: NDArray[np.float32]
    """[h, w] z-depth in world units."""
    opacity: NDArray[np.float32]
    """[h, w] in [0, 1]."""
    logits: NDArray[np.float32]
    """[h, w, C] cosines."""
    selection: NDArray[np.float32]
    """[h, w, N_s], sums to 1 over the scales."""

    @property
    def label_map(self) -> NDArray[np.uint8]:
        """[h, w] index of the best label, the first one where two are equal.

        `NO_LABEL` where the ray met too little to have one.
        """
        best = self.logits.argmax(axis=-1)
        return np.where(self.opacity < MIN_OPACITY, NO_LABEL, best).astype(np.uint8)

    @property
    def picture(self) -> NDArray[np.uint8]:
        """[h, w, 3] colour as 8-bit values."""
        return np.asarray(np.rint(self.color.clip(0, 1) * 255), dtype=np.uint8)


@torch.no_grad()
def segment_view(
    model: Segmenter, cameras: Cameras, view: int, downscale: int, device: torch.device
) -> SegmentedView:
    """Render a view at photo / downscale, one ray through the centre of each pixel.

    Args:
        model: the segmentation; it splits the rays into chunks itself.
        cameras: cameras of the scene.
        view: photo index of a registered view.
        downscale: integer >= 1.
        device: where the rays are made; the device of the model.
    """
    xy = pixel_centres(cameras.width, cameras.height, downscale).to(device)
    origins, directions = cameras.rays(view, xy)
    rays = model.render(origins, directions)
    height, width = cameras.height // downscale, cameras.width // downscale

    def as_image(values: Tensor) -> NDArray[np.float32]:
        array: NDArray[np.float32] = values.float().cpu().numpy()
        return array.reshape(height, width, *values.shape[1:])

    parts = (rays.color, rays.depth, rays.opacity, rays.logits, rays.selection)
    return SegmentedView(*map(as_image, parts))


def shrink_labels(labels: NDArray[np.uint8], downscale: int) -> NDArray[np.uint8]:
    """Take the label of the centre photo pixel for each pixel at photo / downscale.

    Args:
        labels: [..., H, W] label index, or packed masks, per photo pixel.
        downscale: integer >= 1.

    Returns:
        [..., H // downscale, W // downscale].
    """
    height, width = (side // downscale for side in labels.shape[-2:])
    centres = labels[..., downscale // 2 :: downscale, downscale // 2 :: downscale]
    return centres[..., :height, :width]


def top_labels(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Lay masks bool [C, h, w] over each other, later labels on top; `NO_LABEL` in the gaps."""
    top = len(masks) - 1 - masks[::-1].argmax(axis=0)
    return np.where(masks.any(axis=0), top, NO_LABEL).astype(np.uint8)
