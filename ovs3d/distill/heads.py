"""The CLIP head: linear, so that a ray is decoded once and inner products need no wide vectors."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ClipHead(nn.Module):
    """Three linear layers without activations from appearance features to CLIP space.

    Because the head is affine, sum_i w_i Head(f_i) = Head applied to the composited ray feature
    (sum_i w_i f_i, sum_i w_i): nothing per sample is ever as wide as CLIP.
    """

    def __init__(self, features: int, hidden: int, dim: int, generator: torch.Generator) -> None:
        """Create the layers with Kaiming-uniform weights and zero biases.

        Args:
            features: channels of the appearance features.
            hidden: width of the two hidden layers.
            dim: CLIP dimension D.
            generator: source of the initial weights, on the CPU.
        """
        super().__init__()
        widths = (features, hidden, hidden, dim)
        self.layers = nn.ModuleList(
            nn.Linear(widths[i], widths[i + 1]) for i in range(len(widths) - 1)
        )
        for layer in self.layers:
            nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
            nn.init.zeros_(layer.bias)

    def affine(self) -> Tensor:
        """Return the whole head as one matrix [D, features + 1]; the last column is the bias."""
        first = self.layers[0]
        matrix = torch.cat((first.weight, first.bias[:, None]), dim=1)
        for layer in list(self.layers)[1:]:
            matrix = layer.weight @ matrix
            bias = functional.pad(layer.bias[:, None], (matrix.shape[1] - 1, 0))
            matrix = matrix + bias
        return matrix


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
        return squared.clamp(min=1e-12).sqrt()

    def logits(self, rays: Tensor) -> Tensor:
        """Return z = cos<T, F> (Eq. 4) for ray features [..., features + 1] as [..., C]."""
        return (rays @ self._text.T) / self.norms(rays)[..., None]

    def cosine(self, rays: Tensor, targets: Tensor) -> Tensor:
        """Return cos<F, targets> for ray features [R, features + 1] and targets [R, D] as [R].

        The targets need not be normalised.
        """
        projected = targets @ self._affine
        products = (projected * rays).sum(-1)
        lengths = targets.norm(dim=-1).clamp(min=1e-6)
        return products / (self.norms(rays) * lengths)
