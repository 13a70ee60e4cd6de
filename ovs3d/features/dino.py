"""The DINO encoder: one token per patch of a whole view, from a self-supervised ViT."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ovs3d.device import autocast, lowest_precision
from ovs3d.errors import WeightsError, one_line
from ovs3d.features.weights import check_file, hub_file, model_digest, nearest, read_json

PRETRAINED = "pretrained"
"""Value of `dino_features.weights` for timm's own weights of a model."""
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of timm's weights files in a Hugging Face repository."""
_PROBE_PATCHES = 12
"""Side in patches of the smooth random picture on which the precision is chosen."""


@dataclass(frozen=True)
class DinoEncoder:
    """A timm ViT ready for inference on photos of any size.

    Attributes:
        name: the `model` parameter that it was loaded by.
        digest: SHA-256 of configuration and weights.
        dim: length of the tokens.
        patch: side in pixels of a token's patch.
        layer: block whose tokens are taken, from 0.
        final_norm: whether they are taken after the network's last layer norm.
    """

    name: str
    digest: str
    dim: int
    patch: int
    layer: int
    final_norm: bool
    model: nn.Module
    mean: Tensor
    std: Tensor

    @cached_property
    def precision(self) -> torch.dtype:
        """The type in which photos are encoded fastest without losing what matters."""
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(1, 3, 4, 4, generator=generator) * 255
        side = (_PROBE_PATCHES * self.patch, _PROBE_PATCHES * self.patch)
        probe = interpolate(coarse, side, mode="bilinear")[0].permute(1, 2, 0).to(self.mean.device)
        return lowest_precision(self.mean.device, lambda dtype: self.tokens(probe, dtype))

    @torch.no_grad()
    def tokens(self, photo: Tensor, precision: torch.dtype) -> Tensor:
        """Encode a photo.

        Args:
            photo: [h, w, 3], 0..255, on the encoder's device; rows and columns that fill no patch
                are left out at the lower and the right border.
            precision: to compute in.

        Returns:
            [h // patch, w // patch, dim] float32, on the encoder's device; class and register
            tokens left out.
        """
        height, width = (side // self.patch * self.patch for side in photo.shape[:2])
        pixels = photo[:height, :width].permute(2, 0, 1)[None].float()
        pixels = (pixels - 255 * self.mean) / (255 * self.std)
        with autocast(pixels.device, precision):
            [maps] = self.model.forward_intermediates(  # type: ignore[operator]
                pixels,
                indices=[self.layer],
                norm=self.final_norm,
                stop_early=True,
                intermediates_only=True,
            )
        tokens: Tensor = maps[0].permute(1, 2, 0).float().contiguous()
        return tokens


def load_dino(
    model: str,
    weights: str,
    device: torch.device,
    layer: int | None = None,
    final_norm: bool = True,
) -> DinoEncoder:
    """Load a ViT through timm.

    Args:
        model: a name that timm knows, or the path of a .json with `model` (timm name), `kwargs`
            (arguments of `timm.create_model`), `mean` and `std` (of 0..1 RGB).
        weights: `pretrained`, or the path of a weights file.
        device: where it runs.
        layer: block whose tokens are taken, from 0, or from -1 backwards; None: the last.
        final_norm: take them after the network's last layer norm instead of before it.

    Raises:
        WeightsError: the model is unknown or no ViT, its weights were not found or do not fit it,
            or it has no such block.
    """
    # Random initial weights are drawn and thrown away; nobody's random numbers should change.
    with torch.random.fork_rng(devices=[]):
        if model.endswith(".json"):
            network, configuration = _from_file(Path(model), weights)
        else:
            network, configuration = _from_name(model, weights)
    network = network.eval()
    digest = model_digest(network, configuration)
    return DinoEncoder(
        name=model,
        digest=digest,
        dim=int(network.num_features),  # type: ignore[arg-type]
        patch=patch_side(network, model),
        layer=block_index(network, layer, model),
        final_norm=final_norm,
        model=network.to(device),
        mean=torch.tensor(configuration["mean"], device=device).view(1, 3, 1, 1),
        std=torch.tensor(configuration["std"], device=device).view(1, 3, 1, 1),
    )


def _from_file(path: Path, weights: str) -> tuple[nn.Module, dict[str, Any]]:
    content = read_json(path, "dino_features.model")
    missing = {"model", "mean", "std"} - set(content)
    if missing:
        raise WeightsError(f"{path}: lacks {', '.join(sorted(missing))}")
    network = create(str(content["model"]), content.get("kwargs", {}), str(path))
    file = Path(weights)
    check_file(file, path, "dino_features.weights to one")
    try:
        network.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(f"{file}: not the weights of {path} ({one_line(error)})") from None
    keys = ("model", "kwargs", "mean", "std")
    return network, {key: content[key] for key in keys if key in content}


def _from_name(name: str, weights: str) -> tuple[nn.Module, dict[str, Any]]:
    known = pretrained_config(name)
    if weights == PRETRAINED:
        remedy = "download it on a machine with network and set dino_features.weights to its path"
        file = hub_file(known.hf_hub_id or f"timm/{name}", HUB_FILES, name, remedy)
    else:
        file = Path(weights)
    check_file(file, name, f"dino_features.weights to one, or to {PRETRAINED}")
    arguments = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file)}}
    network = create(name, arguments, str(file))
    return network, {"model": name, "mean": list(known.mean), "std": list(known.std)}


def pretrained_config(name: str) -> Any:
    """Return what timm knows about the pretrained weights of a model.

    Raises:
        WeightsError: there is no such model.
    """
    try:
        known = timm.get_pretrained_cfg(name, allow_unregistered=False)
    # timm says so of the tag behind the dot, and returns nothing for an unknown name before it.
    except RuntimeError:
        known = None
    if known is None:
        options = timm.list_models("vit_*", pretrained=True)
        raise WeightsError(f"timm knows no model '{name}'; nearest: {nearest(name, options)}")
    return known


def create(name: str, arguments: dict[str, Any], where: str) -> nn.Module:
    """Build a ViT of timm; `where` says in a message what names it.

    Raises:
        WeightsError: timm does not know it, or the arguments do not fit it.
    """
    if not timm.is_model(name):
        raise WeightsError(
            f"{where}: timm knows no model '{name}'; nearest: {nearest(name, timm.list_models())}"
        )
    try:
        network: nn.Module = timm.create_model(
            name, **{"num_classes": 0, "dynamic_img_size": True, **arguments}
        )
    except TypeError as error:
        if "dynamic_img_size" in str(error):
            raise WeightsError(
                f"{where}: {name} takes pictures of one size only; DINO tokens need a ViT for any"
            ) from None
        raise WeightsError(f"{where}: does not fit {name} ({one_line(error)})") from None
    # Any of safetensors', pickle's and torch's errors.
    except Exception as error:
        raise WeightsError(f"{where}: does not fit {name} ({one_line(error)})") from None
    return network


def block_index(network: nn.Module, layer: int | None, model: str) -> int:
    """Return the number of a block, from 0.

    Raises:
        WeightsError: the network has no such block.
    """
    count = len(network.blocks)  # type: ignore[arg-type]
    index = -1 if layer is None else layer
    if not -count <= index < count:
        raise WeightsError(
            f"dino_features.layer: {layer}, but {model} has the blocks 0 to {count - 1}"
        )
    return index % count


def patch_side(network: nn.Module, model: str) -> int:
    """Return the side of a patch in pixels.

    Raises:
        WeightsError: the network is no ViT, or has no square patches.
    """
    side = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    is_vit = all(hasattr(network, name) for name in ("blocks", "forward_intermediates"))
    if side is None or side[0] != side[1] or not is_vit:
        raise WeightsError(f"{model}: no ViT with square patches; DINO tokens need one")
    return int(side[0])
