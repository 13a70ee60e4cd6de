import json
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch

from ovs3d.errors import WeightsError
from ovs3d.features.dino import DinoEncoder, load_dino
from tests.features.conftest import Files

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(dino_vit: Files) -> DinoEncoder:
    return load_dino(dino_vit.model, dino_vit.weights, CPU)


def make_photo(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("height", "width", "grid"),
    [(64, 64, (8, 8)), (72, 96, (9, 12)), (79, 41, (9, 5)), (8, 8, (1, 1))],
)
def test_tokens_have_one_token_per_whole_patch(
    encoder: DinoEncoder, height: int, width: int, grid: tuple[int, int]
) -> None:
    tokens = encoder.tokens(make_photo(height, width), final_norm=False)
    assert (encoder.patch, encoder.dim) == (8, 24)
    assert tokens.shape == (*grid, 24)
    assert tokens.dtype == torch.float32


def test_tokens_after_the_final_norm_are_the_models_own(
    encoder: DinoEncoder, dino_vit: Files
) -> None:
    photo = make_photo(64, 64)
    configuration = json.loads(Path(dino_vit.model).read_text())
    mean, std = (torch.tensor(configuration[key]).view(3, 1, 1) for key in ("mean", "std"))
    pixels = (photo.permute(2, 0, 1) / 255 - mean) / std
    with torch.no_grad():
        features = encoder.model.forward_features(pixels[None])[0]
    # One class token and two register tokens come first.
    expected = features[3:].view(8, 8, 24)
    after = encoder.tokens(photo, final_norm=True)
    torch.testing.assert_close(after, expected, atol=1e-4, rtol=1e-4)
    before = encoder.tokens(photo, final_norm=False)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(encoder.model.norm(before), after, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        ("vit_base_patch8_225.dino", "pretrained", "nearest: .*vit_base_patch8_224.dino"),
        ("vit_base_patch8_224.dyno", "pretrained", "nearest: .*vit_base_patch8_224.dino"),
        ("vit_base_patch8_224.dino", "nowhere.pth", "no weights file nowhere.pth; set"),
        ("nowhere.json", "{weights}", "nowhere.json: no such file"),
        ("{model}", "nowhere.safetensors", "no weights file nowhere.safetensors; set"),
        ("{model}", "{clip}", "not the weights of"),
        ("{model}", "{cut}", "not the weights of"),
        ("{lacking}", "{weights}", "lacks mean, std"),
        ("{unknown}", "{weights}", "timm knows no model 'vit_small_patch9'"),
        ("{wrong}", "{weights}", "does not fit vit_small_patch8_224"),
    ],
)
def test_load_dino_says_in_one_line_what_is_wrong(
    model: str, weights: str, message: str, clip_vit: Files, dino_vit: Files, tmp_path: Path
) -> None:
    content = json.loads(Path(dino_vit.model).read_text())
    variants = {
        "lacking": {"model": "vit_small_patch8_224"},
        "unknown": {**content, "model": "vit_small_patch9"},
        "wrong": {**content, "kwargs": {"colour": 1}},
    }
    for name, variant in variants.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(variant))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(Path(dino_vit.weights).read_bytes()[:5000])
    places = {
        "model": dino_vit.model,
        "weights": dino_vit.weights,
        "clip": clip_vit.weights,
        "cut": cut,
        **{name: tmp_path / f"{name}.json" for name in variants},
    }
    with pytest.raises(WeightsError, match=message) as caught:
        load_dino(model.format(**places), weights.format(**places), CPU)
    assert "\n" not in str(caught.value)


def test_load_dino_without_network_names_the_file_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError) as caught:
        load_dino("vit_base_patch8_224.dino", "pretrained", CPU)
    assert "timm/vit_base_patch8_224.dino/model.safetensors" in str(caught.value)
    assert "set dino_features.weights to its path" in str(caught.value)


def test_load_dino_refuses_a_model_without_patches(tmp_path: Path) -> None:
    network = timm.create_model("resnet10t", num_classes=0)
    weights = tmp_path / "resnet.pth"
    torch.save(network.state_dict(), weights)
    with pytest.raises(WeightsError, match="resnet10t"):
        load_dino("resnet10t.c3_in1k", str(weights), CPU)
