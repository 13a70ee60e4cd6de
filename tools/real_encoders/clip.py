"""A CLIP for photographs: EfficientNet-Lite0 for windows, WordNet's nouns on its classes for texts.

The pooled feature less its mean is projected onto the principal axes of the classifier's weights;
a phrase is the mean of the classes that it stands for and of views of the surfaces that it names,
see `phrases` and `surfaces`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from ovs3d.files import atomic_path, write_json
from tools.real_encoders.phrases import Phrase, make_phrases, read_stuff
from tools.real_encoders.surfaces import Surface, surface_directions
from tools.real_encoders.tower import CONTEXT, VOCABULARY, WIDTH, fill_text_tower, fit_tokens
from tools.real_encoders.wordnet import WordNet

TRUNK = "tf_efficientnet_lite0"
DIM = 384
SIZE = 160
"""Side of the square that windows are resized to; the network was trained at 224."""
_MEAN, _STD = 127 / 255, 128 / 255
_LARGE = 1 << 20
"""Elements above which a tensor of the text tower is stored in half precision."""


def make_clip(
    weights_file: Path, wordnet: WordNet, surfaces: Mapping[str, Surface], target: Path
) -> list[Phrase]:
    """Write `target` (.json, of `load_clip`) and weights beside it; return the phrases."""
    state = torch.load(weights_file, map_location="cpu", weights_only=True)
    trunk = timm.create_model(TRUNK, pretrained=False)
    # The same tensors in the same order under other names.
    own = trunk.state_dict()
    trunk.load_state_dict(dict(zip(own, state.values(), strict=True)), strict=True)
    projection, directions, mean = read_classifier(state)
    model = open_clip.CustomTextCLIP(**configuration()).eval()
    _fill_image_tower(model.visual, trunk, projection, mean)
    seen = surface_directions(surfaces, lambda squares: _embed(model.visual, squares), SIZE)
    phrases = make_phrases(wordnet, directions, read_stuff(wordnet), seen)
    fill_text_tower(model.text, *fit_tokens(phrases, wordnet.adjectives, seed=0))
    tensors = {
        name: (value.half() if name.startswith("text.") and value.numel() > _LARGE else value)
        for name, value in model.state_dict().items()
    }
    with atomic_path(target.with_suffix(".safetensors")) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary)
    preprocessing = {"mean": [_MEAN] * 3, "std": [_STD] * 3}
    write_json(
        target,
        {"model_cfg": {**configuration(), "custom_text": True}, "preprocess_cfg": preprocessing},
    )
    return phrases


@torch.no_grad()
def _embed(visual: nn.Module, squares: Tensor) -> Tensor:
    vectors: Tensor = visual((squares / 255 - _MEAN) / _STD)
    return vectors


def read_classifier(state: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Read the classifier of the network.

    Returns:
        Principal axes of its weights [DIM, F], the classes' unit directions in them [1000, DIM],
        and the mean pooled feature [F]: that of a clipped normal distribution, as the last batch
        norm leaves it.
    """
    weights = state["_fc.weight"].double()
    centred = weights - weights.mean(0)
    axes = torch.linalg.svd(centred, full_matrices=False)[2][:DIM]
    shift, scale = state["_bn1.bias"].double(), state["_bn1.weight"].double().abs()
    x = torch.linspace(-5, 5, 2001, dtype=torch.double)
    density = (-x.square() / 2).softmax(0)
    mean = ((shift[:, None] + scale[:, None] * x).clamp(0, 6) * density).sum(1)
    return axes.float(), normalize(centred @ axes.T, dim=1).float(), mean.float()


@torch.no_grad()
def _fill_image_tower(visual: Any, trunk: nn.Module, axes: Tensor, mean: Tensor) -> None:
    state = {
        name: value
        for name, value in trunk.state_dict().items()
        if not name.startswith("classifier")
    }
    visual.trunk.load_state_dict(state, strict=True)
    visual.head.proj.weight.copy_(axes)
    visual.head.proj.bias.copy_(-(axes @ mean))


def configuration() -> dict[str, Any]:
    """Return the arguments of open_clip's model."""
    return {
        "embed_dim": DIM,
        "vision_cfg": {
            "timm_model_name": TRUNK,
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "timm_proj_bias": True,
            "image_size": SIZE,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": VOCABULARY,
            "width": WIDTH,
            "heads": 4,
            "layers": 1,
        },
    }
