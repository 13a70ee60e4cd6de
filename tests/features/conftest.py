"""Four photos, and tiny CLIP and DINO models with random weights, saved as the demo's are."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.photos.dataset import Photos, open_photos
from tests.synthetic import make_scene, write_scene

_TEXT = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
_CLIP = {
    "vit": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "cnn": {"image_size": 32, "timm_model_name": "resnet10t", "timm_pool": "avg"},
}
_DINO: dict[str, Any] = {
    "model": "vit_small_patch8_224",
    "kwargs": {"img_size": 64, "embed_dim": 24, "depth": 2, "num_heads": 2, "reg_tokens": 2},
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.25, 0.3],
}


@dataclass(frozen=True)
class Files:
    """A model configuration and its weights."""

    model: str
    weights: str


def broken_files(good: Files, variants: Mapping[str, str], folder: Path) -> dict[str, str | Path]:
    """Write other configurations (name -> content) and weights that end too soon, beside a model.

    Returns:
        Their paths by name: `cut` the weights, `model` and `weights` the good ones.
    """
    cut = folder / "cut.safetensors"
    cut.write_bytes(Path(good.weights).read_bytes()[:5000])
    places: dict[str, str | Path] = {"model": good.model, "weights": good.weights, "cut": cut}
    for name, content in variants.items():
        places[name] = folder / f"{name}.json"
        (folder / f"{name}.json").write_text(content)
    return places


def _write(folder: Path, configuration: dict[str, object], network: torch.nn.Module) -> Files:
    model, weights = folder / "model.json", folder / "model.safetensors"
    model.write_text(json.dumps(configuration))
    save_file(
        {
            name: value.half() if value.is_floating_point() else value
            for name, value in network.state_dict().items()
        },
        weights,
    )
    return Files(str(model), str(weights))


def _clip(folder: Path, tower: str) -> Files:
    torch.manual_seed(0)
    configuration = {"embed_dim": 16, "vision_cfg": _CLIP[tower], "text_cfg": _TEXT}
    return _write(folder, configuration, open_clip.CLIP(**json.loads(json.dumps(configuration))))


@pytest.fixture(autouse=True, scope="package")
def float32() -> Iterator[None]:
    """Let encoders compute in float32 whatever this machine has, so that tests can compare."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
        yield


@pytest.fixture(scope="session")
def clip_vit(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A CLIP whose image tower is open_clip's own ViT: 32-pixel input, 16-wide embedding."""
    return _clip(tmp_path_factory.mktemp("clip_vit"), "vit")


@pytest.fixture(scope="session")
def clip_cnn(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A CLIP whose image tower is a timm CNN."""
    return _clip(tmp_path_factory.mktemp("clip_cnn"), "cnn")


@pytest.fixture(scope="session")
def dino_vit(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A ViT with patch 8, a class token and two register tokens; 24-wide tokens."""
    torch.manual_seed(0)
    network = timm.create_model(_DINO["model"], num_classes=0, **_DINO["kwargs"])
    return _write(tmp_path_factory.mktemp("dino"), _DINO, network)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """Four photos of 96 x 72 pixels."""
    folder = tmp_path_factory.mktemp("scene")
    write_scene(make_scene(views=4, width=96, height=72), folder)
    return open_photos(folder / "images")


@pytest.fixture
def clip_params(clip_vit: Files) -> ClipFeaturesParams:
    """Two scales on the 40 x 30 working images of the synthetic scene: few windows."""
    return ClipFeaturesParams(
        model=clip_vit.model,
        weights=clip_vit.weights,
        downscale=2,
        window_divisors=(2, 3),
        strides_per_window=2,
        crop_from="photo",
        turn=0,
        views=1.0,
        batch=16,
    )


@pytest.fixture
def dino_params(dino_vit: Files) -> DinoFeaturesParams:
    """Tokens of the full photos, before the final norm."""
    return DinoFeaturesParams(
        model=dino_vit.model, weights=dino_vit.weights, downscale=1, layer=None, final_norm=False
    )
