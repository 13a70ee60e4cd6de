"""Windows of a photo resized, whole, to the encoder's square."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ovs3d.device import to_device

_FLOATS_IN_FLIGHT = 1 << 26
"""Numbers in the largest tensor that a GPU makes on the way: 256 MB."""
_CUBIC = -0.5
"""The cubic convolution parameter of Pillow and of torch's antialiased resize."""


def resize_windows(photo: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Cut windows out of a photo and resize each, whole, to a square.

    The resize is antialiased bicubic on the window's own pixels alone, as Pillow does it on a
    cropped picture and open_clip in its `squash` mode.

    Args:
        photo: [H, W, 3] uint8.
        boxes: [M, 4] integer left, upper, right, lower in photo pixels, right and lower
            exclusive, on the CPU: their lengths shape what is made.
        side: pixels of the square.

    Returns:
        [M, 3, side, side] float32 in 0..255.
    """
    if not len(boxes):
        return photo.new_empty((0, 3, side, side), dtype=torch.float32)
    # On a CPU, torch's vectorised byte kernel on one window after the other takes a quarter of
    # the time of the matrix products; a GPU would spend it on launching kernels.
    if photo.device.type == "cpu":
        return _resize_in_turn(photo, boxes, side)
    return _resize_together(photo, boxes.long(), side)


def _resize_in_turn(photo: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Resize in bytes, window by window; the result has whole values like Pillow's."""
    pixels = photo.permute(2, 0, 1)[None]
    squares = [
        interpolate(
            pixels[:, :, upper:lower, left:right], (side, side), mode="bicubic", antialias=True
        )
        for left, upper, right, lower in boxes.tolist()
    ]
    return torch.cat(squares).float()


def _resize_together(
    photo: Tensor, boxes: Tensor, side: int, most: int = _FLOATS_IN_FLIGHT
) -> Tensor:
    """Resize many windows as two batched matrix products, without rounding to bytes.

    Where even one window takes more than `most` numbers, windows go one by one.
    """
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    largest = int(torch.maximum(widths, heights).max())
    rows = _pad(photo, largest)
    result = photo.new_empty((len(boxes), 3, side, side), dtype=torch.float32)
    # Windows of like shape go together, so that little of a padded piece is padding.
    order = torch.argsort(widths * (largest + 1) + heights, stable=True)
    device = photo.device
    for part in torch.split(order, max(1, most // (3 * max(largest, side) ** 2))):
        vertical = _resize_matrices(heights[part], side, device)  # [B, side, high]
        horizontal = _resize_matrices(widths[part], side, device)  # [B, side, wide]
        high, wide = vertical.shape[-1], horizontal.shape[-1]
        corners = rows.unfold(0, high, 1).unfold(1, 3 * wide, 3)
        left, upper = to_device(boxes[part, :2], device).unbind(dim=1)
        pieces = corners[upper, left].float()  # [B, high, wide * 3]
        # Clamped in between too, because Pillow stores the half-way picture in bytes.
        flat = torch.bmm(vertical, pieces).clamp_(0, 255)
        flat = flat.view(len(part), side, wide, 3).permute(0, 3, 1, 2)
        flat = flat.reshape(len(part), 3 * side, wide)
        squares = torch.bmm(flat, horizontal.transpose(1, 2)).clamp_(0, 255)
        result[to_device(part, device)] = squares.view(len(part), 3, side, side)
    return result


def _resize_matrices(lengths: Tensor, side: int, device: torch.device) -> Tensor:
    """Return [len(lengths), side, longest] weights of input pixels per output pixel, zero-padded.

    An output pixel averages the input within two (downscaled) pixels of its centre, weighted by
    the cubic kernel; weights that fall outside the window are dropped and the rest rescaled.
    """
    # Windows come in few lengths, and those here in fewer.
    lengths, length_of = torch.unique(lengths, return_inverse=True)
    longest = int(lengths[-1])
    count = to_device(lengths.double(), device)[:, None, None]
    output = torch.arange(side, dtype=torch.float64, device=device)[None, :, None]
    pixel = torch.arange(longest, dtype=torch.float64, device=device)[None, None, :]
    scale = count / side
    distance = (pixel + 0.5 - (output + 0.5) * scale) / scale.clamp(min=1)
    weights = _cubic(distance) * (pixel < count)
    return (weights / weights.sum(dim=-1, keepdim=True)).float()[to_device(length_of, device)]


def _cubic(distance: Tensor) -> Tensor:
    x = distance.abs()
    near = ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _CUBIC
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _pad(photo: Tensor, margin: int) -> Tensor:
    """Return the photo as [H + margin, (W + margin) * 3], so that any padded piece lies inside."""
    height, width, _ = photo.shape
    padded = photo.new_zeros((height + margin, width + margin, 3))
    padded[:height, :width] = photo
    return padded.view(height + margin, -1)
