"""The CLIP head: linear, so that a ray is decoded once and inner products need no wide vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ovs3d.field.model import make_linear


class ClipHead(nn.Module):
    """Three linear layers without activations from appearance features to CLIP space.

    Because the head is affine, sum_i w_i Head(f_i) = Head applied to the composited ray feature
    (sum_i w_i f_i, sum_i w_i): nothing per sample is ever as wide as CLIP.
    """

    def __init__(
        self,
        features: int,
        hidden: int,
        dim: int,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        """Create the layers.

        Args:
            features: channels of the appearance features.
            hidden: width of the two hidden layers.
            dim: CLIP dimension D.
            generator: source of the initial weights; without it they are left undefined, for
                loading.
            device: where the weights live; that of the generator if there is one.
        """
        super().__init__()
        sizes = ((features, hidden), (hidden, hidden), (hidden, dim))
        self.layers: Sequence[nn.Linear] = nn.ModuleList(  # type: ignore[assignment]
            make_linear(a, b, True, generator=generator, device=device) for a, b in sizes
        )

    def affine(self) -> Tensor:
        """Return the whole head as one matrix [D, features + 1]; the last column is the bias."""
        size = self.layers[0].in_features + 1
        matrix = torch.eye(size, device=self.layers[0].weight.device)
        for layer in self.layers:
            # Homogeneous form: the last row carries the constant 1 of the biases along.
            matrix = torch.cat((layer.weight @ matrix[:-1], matrix[-1:]))
            shift = functional.pad(layer.bias[:, None], (size - 1, 0))
            matrix = matrix + functional.pad(shift, (0, 0, 0, 1))
        return matrix[:-1]


class InnerProducts:
    """What the losses need of the rendered CLIP feature F = A f, without forming F.

    A is `ClipHead.affine()`, f the composited ray feature with the ray's opacity as its last
    channel, so that the bias is weighted as a per-sample evaluation would weight it.
    """

    def __init__(self, affine: Tensor, text: Tensor) -> None:
        """Precompute the products of the head with itself and with the text features.

        Args:
            affine: [D, features + 1].
            text: [C, D], L2-normalised.
        """
        self._affine = affine
        self._gram = affine.T @ affine
        self._text = text @ affine

    def norms(self, rays: Tensor) -> Tensor:
        """Return |F| for ray features [..., features + 1] as [...]."""
        squared = ((rays @ self._gram) * rays).sum(-1)
        norms: Tensor = squared.clamp(min=1e-12).sqrt()
        return norms

    def logits(self, rays: Tensor) -> Tensor:
        """Return z = cos<T, F> (Eq. 4) for ray features [..., features + 1] as [..., C]."""
        logits: Tensor = (rays @ self._text.T) / self.norms(rays)[..., None]
        return logits

    def decode(self, rays: Tensor) -> Tensor:
        """Return F itself, [R, D], for ray features [R, features + 1]."""
        return rays @ self._affine.T


def center_texts(text: Tensor, text_center: Tensor) -> Tensor:
    """Return unit texts [..., D] without what the labels share, [D], as unit vectors."""
    return functional.normalize(text - text_center, dim=-1)
