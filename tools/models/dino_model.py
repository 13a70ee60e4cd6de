"""The small DINO: a timm vision transformer, its description on disk, and its tokens."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ovs3d.files import atomic_path, write_json

NAME = "ovs3d-tiny"
PATCH = 8
# The grid of a training picture (360 x 480), so that photos of 480 x 640 interpolate by 4/3 only.
GRID = (45, 60)
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DinoConfig:
    """What `timm.create_model` needs, and how pictures are normalised."""

    model: str
    kwargs: Mapping[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]


TINY = DinoConfig(
    model="vit_small_patch8_224",
    kwargs={
        "img_size": [GRID[0] * PATCH, GRID[1] * PATCH],
        "embed_dim": 192,
        "depth": 4,
        "num_heads": 3,
        "num_classes": 0,
        "dynamic_img_size": True,
    },
    mean=MEAN,
    std=STD,
)


def build_dino(config: DinoConfig) -> VisionTransformer:
    """Return a fresh transformer whose position table is smooth in both directions.

    Sines stay meaningful when the table is interpolated to another picture size, which a table
    learnt from a few thousand crops does not.
    """
    vit: VisionTransformer = timm.create_model(config.model, pretrained=False, **config.kwargs)
    with torch.no_grad():
        assert isinstance(vit.pos_embed, nn.Parameter)
        table = build_sincos2d_pos_embed(list(GRID), dim=vit.embed_dim, interleave_sin_cos=False)
        vit.pos_embed[0, 1:] = 0.5 * table
        vit.pos_embed.requires_grad_(False)
    return vit


def centered(vit: VisionTransformer, photos: Sequence[Tensor]) -> VisionTransformer:
    """Return a copy whose tokens after the final norm have mean zero over these pictures.

    Tokens share a large common part: as trained, half of the pairs of different things have
    cosines above 0.7, the threshold below which FDA (Sec. 3.3) pushes pairs apart. Without that
    part 0.7 lies where it separates best, and the order of the pairs stays as it was.

    Args:
        vit: the transformer.
        photos: (3, height, width) uint8 each.
    """
    mean = torch.stack([photo_tokens(vit, photo)[1].mean(dim=(0, 1)) for photo in photos]).mean(0)
    shifted = copy.deepcopy(vit)
    with torch.no_grad():
        shifted.norm.bias -= mean
    return shifted


def save_dino(vit: nn.Module, config: DinoConfig, folder: Path) -> None:
    """Write `<NAME>.safetensors` (float16) and `<NAME>.json` (how to build the model)."""
    halves = {name: value.detach().half().contiguous() for name, value in vit.state_dict().items()}
    with atomic_path(folder / f"{NAME}.safetensors") as temporary:
        temporary.write_bytes(save(halves))
    content = {
        "model": config.model,
        "kwargs": dict(config.kwargs),
        "mean": list(config.mean),
        "std": list(config.std),
    }
    write_json(folder / f"{NAME}.json", content)


def load_dino(folder: Path) -> tuple[VisionTransformer, DinoConfig]:
    """Return the trained transformer, ready for use, and its description."""
    config = DinoConfig(**json.loads((folder / f"{NAME}.json").read_text()))
    vit: VisionTransformer = timm.create_model(config.model, pretrained=False, **config.kwargs)
    weights = load_file(folder / f"{NAME}.safetensors")
    vit.load_state_dict({name: value.float() for name, value in weights.items()})
    return vit.eval(), config


def normalize(photos: Tensor) -> Tensor:
    """Return photos given as uint8, or as floats in [0, 1], as normalised float32."""
    scaled = photos.float() / 255 if photos.dtype == torch.uint8 else photos
    return (scaled - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


@torch.no_grad()
def photo_tokens(vit: VisionTransformer, photo: Tensor) -> tuple[Tensor, Tensor]:
    """Return the patch tokens of a whole picture before and after the final norm.

    Args:
        vit: the transformer.
        photo: (3, height, width) uint8, sides divisible by the patch size.

    Returns:
        Two (height / patch, width / patch, dim) float32 maps.
    """
    (raw,) = vit.forward_intermediates(
        normalize(photo[None]), indices=1, norm=False, output_fmt="NLC", intermediates_only=True
    )
    shape = (photo.shape[1] // PATCH, photo.shape[2] // PATCH, -1)
    return raw[0].reshape(shape), vit.norm(raw)[0].reshape(shape)
