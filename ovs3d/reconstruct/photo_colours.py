"""An affine change of colour for every training photo: its exposure and its white balance."""

import torch
from torch import Tensor, nn


class PhotoColours(nn.Module):
    """Colours of the field as each photo shows them: `c + M c + b`, M [3, 3] and b [3] its own.

    The means of M and b over the photos are taken out, so the field has the colours of a photo
    between all of them. Everything begins at zero. After training the changes are thrown away.

    Args:
        photos: number of training photos.
    """

    def __init__(self, photos: int) -> None:
        super().__init__()
        self.changes = nn.Parameter(torch.zeros(photos, 3, 4))

    def forward(self, colors: Tensor, photos: Tensor) -> Tensor:
        """Return colours [B, 3] of rays as the photos int64 [B], counted from 0, show them."""
        change = (self.changes - self.changes.mean(dim=0)).index_select(0, photos)
        return colors + (change[..., :3] @ colors[..., None])[..., 0] + change[..., 3]
