from pathlib import Path

import pytest
import torch

from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.features.extract_dino import extract_dino
from ovs3d.features.pictures import save_token_picture, token_colors
from ovs3d.features.token_store import TokenStore
from ovs3d.photos.dataset import Photos, load_photo


def test_token_colors_stretch_the_leading_component() -> None:
    ramp = torch.linspace(0, 1, 101)[None, :, None]
    colors = token_colors(ramp * torch.tensor([0.0, 3.0, 0.0, 4.0]))
    assert colors.shape == (1, 101, 3)
    assert colors[0, [0, 50, 100], 0].tolist() == pytest.approx([0, 127.5, 255], abs=0.5)


def test_token_picture_stands_beside_the_photo(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path
) -> None:
    extract_dino(photos, dino_params, torch.device("cpu"), tmp_path / "dino.zarr")
    store = TokenStore.open(tmp_path / "dino.zarr")
    save_token_picture(store, photos, 1, tmp_path / "pca.png")
    picture = load_photo(tmp_path / "pca.png", 1)
    assert picture.shape == (72, 192, 3)
    assert torch.equal(picture[:, :96], load_photo(photos.paths[1], 1))
