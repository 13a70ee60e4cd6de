"""The CLIP encoder: windows of a photo and texts to unit vectors of one space."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from ovs3d.device import autocast, lowest_precision
from ovs3d.features.crops import resize_windows
from ovs3d.features.prompts import make_prompts
from ovs3d.features.weights import model_digest
from ovs3d.photos.labels import Label

_TEXTS_PER_CALL = 256
_PROBES = 4
"""Smooth random pictures on which the precision is chosen."""


@dataclass(frozen=True)
class ClipEncoder:
    """An open_clip model ready for inference.

    Attributes:
        name: the `model` parameter that it was loaded by.
        digest: SHA-256 of configuration and weights.
        dim: length of the embeddings.
        image_size: side in pixels of the square that the image tower takes.
    """

    name: str
    digest: str
    dim: int
    image_size: int
    model: nn.Module
    tokenizer: Callable[[list[str]], Tensor]
    mean: Tensor
    std: Tensor

    @cached_property
    def precision(self) -> torch.dtype:
        """The type in which windows are embedded fastest without losing what matters."""
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(_PROBES, 3, 4, 4, generator=generator) * 255
        side = (self.image_size, self.image_size)
        probes = interpolate(coarse, side, mode="bilinear").to(self.mean.device)
        return lowest_precision(
            self.mean.device, lambda dtype: self.embed(self._normalise(probes.clone()), dtype)
        )

    def encode_windows(self, photo: Tensor, boxes: Tensor, turn: int = 0) -> Tensor:
        """Embed windows, each resized whole to the encoder's square, in `precision`.

        The resize is bicubic, for models too whose own preprocessing is bilinear.

        Args:
            photo: [H, W, 3] uint8 on the encoder's device.
            boxes: [M, 4] integer left, upper, right, lower in photo pixels, right and lower
                exclusive, on the CPU.
            turn: degrees clockwise by which the squares are turned, a multiple of 90.

        Returns:
            [M, dim] float32 unit vectors on the encoder's device.
        """
        squares = self.prepare(photo, boxes)
        return self.embed(torch.rot90(squares, -turn // 90, (2, 3)), self.precision)

    def prepare(self, photo: Tensor, boxes: Tensor) -> Tensor:
        """Cut, resize and normalise windows: [M, 3, image_size, image_size] for `embed`."""
        return self._normalise(resize_windows(photo, boxes, self.image_size))

    @torch.no_grad()
    def embed(self, squares: Tensor, precision: torch.dtype) -> Tensor:
        """Run the image tower in a precision: [M, dim] float32 unit vectors."""
        with autocast(squares.device, precision):
            vectors = self.model.encode_image(squares)  # type: ignore[operator]
        return normalize(vectors.float(), dim=-1)

    @torch.no_grad()
    def encode_text(self, labels: Sequence[Label], templates: Sequence[str]) -> Tensor:
        """Embed labels as the mean over their phrases in all templates.

        Args:
            labels: C of them.
            templates: prompts in which `{}` stands for a phrase.

        Returns:
            [C, dim] float32 unit vectors on the encoder's device: the unit vectors of a label's
            prompts averaged and normalised again.

        Raises:
            ParamsError: a template has no place for the phrase.
            SceneError: a phrase is too long for the text tower.
        """
        prompts = make_prompts(labels, templates, self.tokenizer)
        tokens = self.tokenizer(prompts).to(self.mean.device)
        parts = [self._encode_tokens(part) for part in torch.split(tokens, _TEXTS_PER_CALL)]
        counts = [len(label.phrases) * len(templates) for label in labels]
        means = [vectors.mean(dim=0) for vectors in torch.split(torch.cat(parts), counts)]
        return normalize(torch.stack(means), dim=-1)

    def _normalise(self, squares: Tensor) -> Tensor:
        """Turn [M, 3, h, w] values of 0..255, in place, into what the image tower takes."""
        return squares.mul_(1 / (255 * self.std)).sub_(self.mean / self.std)

    def _encode_tokens(self, tokens: Tensor) -> Tensor:
        vectors = self.model.encode_text(tokens)  # type: ignore[operator]
        return normalize(vectors.float(), dim=-1)


def load_clip(model: str, weights: str, device: torch.device) -> ClipEncoder:
    """Load an open_clip model.

    Args:
        model: a name that open_clip knows, or the path of a model configuration ending in .json.
        weights: a pretrained tag of that model, the path of a weights file, or `TAG@FILE`: a file
            with the activation and the normalisation of a tag.
        device: where it runs.

    Raises:
        WeightsError: the model is unknown, its weights were not found or do not fit it.
    """
    # Not before: it imports open_clip, which takes seconds.
    from ovs3d.features import clip_models

    network, configuration = clip_models.load_network(model, weights)
    tokenizer = clip_models.make_tokenizer(model)
    preprocessing = configuration["preprocess_cfg"]
    # Parameters keep asking for gradients, which nothing computes: without, torch's linear layers
    # copy their weights once per token where the tokens come first, four times the work.
    network = network.eval()
    digest = model_digest(network, configuration)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ClipEncoder(
        name=model,
        digest=digest,
        dim=int(configuration["model_cfg"]["embed_dim"]),
        image_size=clip_models.image_side(network.visual),
        model=network,
        tokenizer=tokenizer,
        mean=torch.tensor(preprocessing["mean"], device=device).view(1, 3, 1, 1),
        std=torch.tensor(preprocessing["std"], device=device).view(1, 3, 1, 1),
    )
