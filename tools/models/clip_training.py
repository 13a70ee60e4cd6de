"""Training the small CLIP with open_clip's contrastive loss on captioned windows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.models.captions import draw_caption, true_phrases, truth_matrix
from tools.models.clip_model import build_clip, image_size, normalize, save_clip
from tools.models.clip_zero_shot import zero_shot
from tools.models.crops import CropSampler, cut_augmented, jitter_light
from tools.models.runs import Draw
from tools.models.scenes import Picture

MAX_LOGIT_SCALE = 4.6052  # ln 100, as in CLIP


def shared_caption_loss(
    images: Tensor, texts: Tensor, logit_scale: Tensor, truth: Tensor
) -> Tensor:
    """Return open_clip's contrastive loss where a caption may be true of several crops.

    `open_clip.ClipLoss` takes only the diagonal as positive, so that of two red mugs in a batch
    each would be pushed away from the other's caption. Its logits are kept; the targets of its
    two cross-entropies are spread evenly over all true captions of a crop, all crops of a caption.

    Args:
        images: (crops, dim) unit vectors.
        texts: (captions, dim) unit vectors, one caption per crop.
        logit_scale: the inverse temperature, not its logarithm.
        truth: (crops, captions) bool.
    """
    per_image, per_text = open_clip.ClipLoss().get_logits(images, texts, logit_scale)
    target = truth.float()
    image_loss = functional.cross_entropy(per_image, target / target.sum(1, keepdim=True))
    text_loss = functional.cross_entropy(per_text, target.T / target.T.sum(1, keepdim=True))
    return (image_loss + text_loss) / 2


class ClipTask:
    """Contrastive training on random windows; validation by naming windows of other scenes."""

    def __init__(
        self,
        config: Path,
        weights: Path,
        pictures: Sequence[Picture],
        held_out: Sequence[Picture],
        batch: int,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.state: nn.Module = build_clip(config).to(memory_format=torch.channels_last)
        self._weights = weights
        self._held_out = held_out
        self._batch = batch
        self._size = image_size(self.state)
        self._sampler = CropSampler(pictures)
        self._tokenizer = open_clip.get_tokenizer(config.stem)
        self._tokens: dict[str, Tensor] = {}

    def trained(self) -> nn.Module:
        """Return the whole model."""
        return self.state

    def loss(self, draw: Draw) -> dict[str, Tensor]:
        """Return the contrastive loss of a fresh batch."""
        windows, tokens, truth = self._draw_batch(draw)
        self.state.train()
        with torch.autocast("cpu", torch.bfloat16):
            images = self.state.encode_image(windows)  # type: ignore[operator]
            # Also the repeated captions: with another batch size at every step, the memory that
            # the CPU kernels keep per shape would grow without end.
            texts = self.state.encode_text(tokens)  # type: ignore[operator]
        images = functional.normalize(images.float(), dim=1)
        texts = functional.normalize(texts.float(), dim=1)
        scale = self.state.logit_scale.exp()  # type: ignore[operator]
        return {"contrastive": shared_caption_loss(images, texts, scale, truth)}

    def after_step(self, _progress: float, /) -> None:
        """Keep the temperature from collapsing."""
        with torch.no_grad():
            self.state.logit_scale.clamp_(0, MAX_LOGIT_SCALE)  # type: ignore[operator]

    def validate(self) -> Mapping[str, float]:
        """Return the zero-shot accuracy on the held-out scenes."""
        result = zero_shot(self.state, self._tokenizer, self._held_out, per_entity=1, seed=0)
        return {"top1": result.top1, "scale": self.state.logit_scale.exp().item()}  # type: ignore[operator]

    def export(self) -> None:
        """Write the weights for use."""
        save_clip(self.state, self._weights)

    def _draw_batch(self, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
        rng = draw.numpy
        crops = [self._sampler.draw(rng) for _ in range(self._batch)]
        names = [true_phrases(crop.entity) for crop in crops]
        captions = [draw_caption(phrases, rng) for phrases in names]
        stacked = torch.cat([cut_augmented(crop, self._size, rng) for crop in crops])
        windows = normalize(jitter_light(stacked.float() / 255, draw.torch))
        tokens = torch.stack([self._tokenize(caption.text) for caption in captions])
        return windows, tokens, torch.from_numpy(np.asarray(truth_matrix(names, captions)))

    def _tokenize(self, text: str) -> Tensor:
        if text not in self._tokens:
            self._tokens[text] = self._tokenizer(text)[0]
        return self._tokens[text]
