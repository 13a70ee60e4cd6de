"""Presets with their own full-size models, random weights in local files."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
import yaml
from open_clip.transformer import QuickGELU
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import cosine_similarity

from ovs3d.features.clip import load_clip
from ovs3d.features.extract_clip import extract_clip
from ovs3d.features.extract_dino import extract_dino
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.features.windows import lattice
from ovs3d.params import Preset
from ovs3d.photos.dataset import Photos, open_photos

CPU = torch.device("cpu")
PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(scope="module")
def paper() -> Preset:
    return Preset.model_validate(yaml.safe_load(PARAMS.read_text())["paper"])


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """One smooth photo of 480 x 360 pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    photo = Image.fromarray(coarse).resize((480, 360), Image.Resampling.BICUBIC)
    (tmp_path / "images").mkdir()
    photo.save(tmp_path / "images" / "photo.png")
    return open_photos(tmp_path / "images")


def test_windows_of_a_12_megapixel_photo_take_less_than_4_megabytes(paper: Preset) -> None:
    params = paper.clip_features
    size = (4032 // params.downscale, 3024 // params.downscale)
    count = sum(
        lattice(*size, divisor, params.strides_per_window).count
        for divisor in params.window_divisors
    )
    assert count == 3453
    half, sides, dim = 2, 4, 512
    assert count * (dim + sides) * half < 4e6


@pytest.mark.slow
def test_vit_b_16_of_open_clip_from_a_file(paper: Preset, photos: Photos, tmp_path: Path) -> None:
    file = tmp_path / "clip.pt"
    # The tag of the preset before the file's path, as README has it for machines without network.
    weights = f"{paper.clip_features.weights}@{file}"
    changes: dict[str, Any] = {"weights": weights, "window_divisors": (1.0,)}
    params = paper.clip_features.model_copy(update=changes)
    torch.manual_seed(0)
    network, _, transform = open_clip.create_model_and_transforms(
        params.model, force_quick_gelu=True, image_resize_mode="squash"
    )
    torch.save(network.state_dict(), file)
    # With random weights the activation hardly shows in what comes out.
    modules = load_clip(params.model, params.weights, CPU).model.modules()
    assert any(isinstance(module, QuickGELU) for module in modules)
    extract_clip(photos, params, 0, CPU, tmp_path / "clip.zarr")
    store = FeatureStore.open(tmp_path / "clip.zarr")
    [boxes] = store._boxes
    assert store.embeddings(0).shape == (len(boxes), 512)
    picture = Image.open(photos.paths[0])
    crops = [transform(picture.crop(tuple(box * params.downscale))) for box in boxes.astype(int)]
    with torch.no_grad():
        expected = network.eval().encode_image(torch.stack(crops))
    embeddings = torch.from_numpy(store.embeddings(0)).float()
    assert cosine_similarity(embeddings, expected).min() > 0.999


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "downscale", "grid", "dim"),
    [
        # 480 / 5 and 360 / 5 pixels in patches of 8.
        pytest.param("paper", 5, (9, 12), 768, id="ViT-B/8"),
        # 480 / 2 and 360 / 2 pixels in patches of 14, without what fills none.
        pytest.param("photos", 2, (12, 17), 384, id="DINOv2 ViT-S/14"),
    ],
)
def test_dino_of_timm_from_a_file(
    name: str, downscale: int, grid: tuple[int, int], dim: int, photos: Photos, tmp_path: Path
) -> None:
    preset = Preset.model_validate(yaml.safe_load(PARAMS.read_text())[name])
    params = preset.dino_features.model_copy(update={"weights": str(tmp_path / "dino.safetensors")})
    torch.manual_seed(0)
    network = timm.create_model(params.model, num_classes=0, dynamic_img_size=True).eval()
    save_file(network.state_dict(), params.weights)
    extract_dino(photos, params, CPU, tmp_path / "dino.zarr")
    store = TokenStore.open(tmp_path / "dino.zarr")
    assert (store.grid, store.dim) == (grid, dim)
    config = network.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    small = torch.from_numpy(np.array(Image.open(photos.paths[0]).reduce(downscale)))
    small = small[: grid[0] * network.patch_embed.patch_size[0]]
    small = small[:, : grid[1] * network.patch_embed.patch_size[1]]
    pixels = (small.permute(2, 0, 1) / 255 - mean) / std
    with torch.no_grad():
        features = network.get_intermediate_layers(pixels[None], 1, norm=params.final_norm)[0][0]
    tokens = store.load([0], CPU)[0].float().flatten(0, 1)
    torch.testing.assert_close(tokens, features, atol=2e-3, rtol=2e-3)
