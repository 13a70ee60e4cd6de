"""Self-distillation of the small DINO: no label enters the losses."""

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from tools.models.dino_auc import same_entity_auc
from tools.models.dino_model import GRID, TINY, build_dino, centered, save_dino
from tools.models.dino_views import View, draw_views, look_up
from tools.models.runs import Draw
from tools.models.scenes import Picture

PROTOTYPES = 512
STUDENT_TEMPERATURE = 0.1
TEACHER_TEMPERATURE = 0.05
CENTER_MOMENTUM = 0.95
MASK_SHARE = 0.3
# Young features know little but colour, and only near copies may share an answer. Later on the
# parts of a texture may, too: on training scenes, targets then tell entities apart better (AUC
# 0.926 against 0.917).
GROUPING_TEMPERATURES = (0.1, 0.4)
GROUPING_YOUTH = 500
GROUPING_REACH = 3.5
GLOBAL_WEIGHT = 0.3
CENTERING_PICTURES = 40


class Branch(nn.Module):
    """A transformer with a head that scores its tokens against prototypes."""

    def __init__(self) -> None:
        super().__init__()
        self.vit: VisionTransformer = build_dino(TINY)
        dim = self.vit.embed_dim
        self.mask_token = nn.Parameter(torch.zeros(dim))
        self.head = nn.Sequential(
            nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, 96, bias=False)
        )
        self.prototypes = nn.Parameter(functional.normalize(torch.randn(PROTOTYPES, 96), dim=1))

    def forward(self, view: View, draw: Draw, masked: bool) -> tuple[Tensor, Tensor]:
        """Return features (batch, 1 + n * n, dim) and prototype cosines, class token first."""
        vit, n = self.vit, view.grid
        tokens = vit.patch_embed(view.images)
        if masked:
            hidden = torch.rand(tokens.shape[:3], generator=draw.torch) < MASK_SHARE * torch.rand(
                len(tokens), 1, 1, generator=draw.torch
            )
            tokens = torch.where(hidden[..., None], self.mask_token.to(tokens.dtype), tokens)
        tokens = (tokens + self._place(n, draw)).flatten(1, 2)
        first = (vit.cls_token + vit.pos_embed[:, :1]).expand(len(tokens), -1, -1)
        features = vit.norm(vit.blocks(torch.cat([first, tokens], dim=1)))
        scored = functional.normalize(self.head(features).float(), dim=-1)
        # In bfloat16 a cosine is off by up to 0.004, too much for a temperature of 0.05.
        with torch.autocast("cpu", enabled=False):
            return features, scored @ functional.normalize(self.prototypes, dim=1).T

    def _place(self, n: int, draw: Draw) -> Tensor:
        # Any part of the table may serve any crop: places must not tell what lies there, and
        # whole pictures, which use all of the table at once, look as in training.
        rows, columns = GRID
        top, left = (int(draw.numpy.integers(limit - n + 1)) for limit in (rows, columns))
        table = self.vit.pos_embed[:, 1:].reshape(1, rows, columns, -1)
        window: Tensor = table[:, top : top + n, left : left + n]
        return window


class Distillation(nn.Module):
    """Student, teacher (the student's moving average) and the running centres of the scores."""

    centers: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.student = Branch()
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centers", torch.zeros(2, PROTOTYPES))

    @torch.no_grad()
    def teach(self, view: View, draw: Draw) -> tuple[Tensor, Tensor]:
        """Return the targets of a view: (batch, n, n, prototypes) and (batch, prototypes).

        A token's target is averaged with those of similar tokens nearby in the crop, so that the
        parts of a thing (stripes, shading) are drawn to one answer.
        """
        features, scores = self.teacher(view, draw, masked=False)
        self._recenter(scores)
        whole = ((scores[:, 0] - self.centers[0]) / TEACHER_TEMPERATURE).softmax(-1)
        tokens = ((scores[:, 1:] - self.centers[1]) / TEACHER_TEMPERATURE).softmax(-1)
        temperature = GROUPING_TEMPERATURES[draw.step >= GROUPING_YOUTH]
        weights = group_weights(features[:, 1:].float(), view.grid, temperature)
        smooth = (weights @ tokens).float()
        return smooth.reshape(len(smooth), view.grid, view.grid, -1), whole

    def _recenter(self, scores: Tensor) -> None:
        means = torch.stack([scores[:, 0].mean(0), scores[:, 1:].mean((0, 1))])
        self.centers.lerp_(means, 1 - CENTER_MOMENTUM)

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the teacher towards the student."""
        pairs = zip(self.teacher.parameters(), self.student.parameters(), strict=True)
        for slow, fast in pairs:
            slow.lerp_(fast, 1 - momentum)


def group_weights(features: Tensor, n: int, temperature: float) -> Tensor:
    """Return how much each token of a crop listens to the others: (batch, n * n, n * n).

    Args:
        features: (batch, n * n, dim) teacher features.
        n: tokens along a side.
        temperature: how unlike tokens may be and still count.
    """
    centered = functional.normalize(features - features.mean((0, 1)), dim=-1)
    likeness = centered @ centered.transpose(1, 2) / temperature
    rows, columns = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).float()
    distance = torch.cdist(places, places) / GROUPING_REACH
    return (likeness - distance.square() / 2).softmax(-1)


class DinoTask:
    """Self-distillation on crops; validation by how well tokens tell entities apart."""

    def __init__(
        self,
        weights: Path,
        pictures: Sequence[Picture],
        held_out: Sequence[Picture],
        batch: int,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.state = Distillation()
        self._weights = weights
        self._pictures = pictures
        self._held_out = held_out
        self._batch = batch

    def trained(self) -> nn.Module:
        """Return the student."""
        return self.state.student

    def loss(self, draw: Draw) -> dict[str, Tensor]:
        """Return the token and whole-crop cross-entropies between students and teachers."""
        wide, narrow = draw_views(self._pictures, self._batch, draw)
        token_losses, whole_losses = [], []
        with torch.autocast("cpu", torch.bfloat16):
            taught = [self.state.teach(view, draw) for view in wide]
            for number, view in enumerate([*wide, *narrow]):
                _, scores = self.state.student(view, draw, masked=number < len(wide))
                scores = (scores.float() / STUDENT_TEMPERATURE).log_softmax(-1)
                for other, (maps, whole) in enumerate(taught):
                    if other == number:
                        continue
                    token_losses.append(_token_loss(scores[:, 1:], view, maps, wide[other]))
                    whole_losses.append(-(whole * scores[:, 0]).sum(-1).mean())
        return {
            "tokens": torch.stack(token_losses).mean(),
            "whole": GLOBAL_WEIGHT * torch.stack(whole_losses).mean(),
        }

    def after_step(self, progress: float, /) -> None:
        """Let the teacher follow, ever more slowly."""
        self.state.follow(1 - 0.01 * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2))

    def validate(self) -> Mapping[str, float]:
        """Return the AUC of token pairs on held-out views, before and after the final norm."""
        raw, normed = same_entity_auc(self.state.teacher.vit, self._held_out[::4], pairs=4000)
        return {"auc_raw": raw, "auc_norm": normed}

    def export(self) -> None:
        """Write the teacher, which is the better half, with centred tokens."""
        sample = self._pictures[:: max(1, len(self._pictures) // CENTERING_PICTURES)]
        photos = [picture.photo for picture in sample]
        save_dino(centered(self.state.teacher.vit, photos), TINY, self._weights)


def _token_loss(scores: Tensor, view: View, maps: Tensor, source: View) -> Tensor:
    target, inside = look_up(maps, source, view.token_places())
    per_token = -(target * scores.reshape(target.shape)).sum(-1)
    return (per_token * inside).sum() / inside.sum().clamp(min=1)
