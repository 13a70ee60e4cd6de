"""The small CLIP: its open_clip configuration, and saving and loading its weights."""

from pathlib import Path

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ovs3d.files import atomic_path

NAME = "ovs3d-tiny"


def build_clip(config: Path) -> nn.Module:
    """Return a freshly initialised model from an open_clip model configuration (a JSON file)."""
    open_clip.add_model_config(config)
    model: nn.Module = open_clip.create_model(config.stem, load_weights=False)
    return model


def load_clip(folder: Path, name: str = NAME) -> nn.Module:
    """Return the trained model from `<name>.json` and `<name>.safetensors`, ready for use."""
    open_clip.add_model_config(folder / f"{name}.json")
    model: nn.Module = open_clip.create_model(
        name, pretrained=str(folder / f"{name}.safetensors"), require_pretrained=True
    )
    return model.eval()


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a model with what `save_clip` wrote."""
    model.load_state_dict(load_file(path))


def image_size(model: nn.Module) -> int:
    """Return the side of the square that the image tower takes, in pixels."""
    side = model.visual.image_size  # type: ignore[union-attr]
    # open_clip keeps a number for some towers and a pair for others.
    return int(side) if isinstance(side, int) else int(side[0])  # type: ignore[index]


def save_clip(model: nn.Module, path: Path) -> None:
    """Write the weights as float16 safetensors, atomically."""
    halves = {
        name: tensor.detach().half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(halves))


def normalize(windows: Tensor) -> Tensor:
    """Return uint8 windows, or floats in [0, 1], as the float32 input that open_clip expects."""
    scaled = windows.float() / 255 if windows.dtype == torch.uint8 else windows
    mean = torch.tensor(OPENAI_DATASET_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(OPENAI_DATASET_STD).view(1, 3, 1, 1)
    return ((scaled - mean) / std).contiguous(memory_format=torch.channels_last)
