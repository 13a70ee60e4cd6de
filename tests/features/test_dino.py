import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from ovs3d.errors import WeightsError
from ovs3d.features.dino import DinoEncoder, load_dino
from tests.devices import elsewhere, watched_waits
from tests.features.conftest import Files, broken_files

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(dino_vit: Files) -> DinoEncoder:
    return load_dino(dino_vit.model, dino_vit.weights, CPU)


def timm_model(encoder: DinoEncoder) -> Any:
    """Return the model as timm's ViT, with the parts that a plain module lacks."""
    return encoder.model


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
    tokens = encoder.tokens(make_photo(height, width), torch.float32)
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
        features = timm_model(encoder).forward_features(pixels[None])[0]
    # One class token and two register tokens come first.
    expected = features[3:].view(8, 8, 24)
    after = encoder.tokens(photo, torch.float32)
    torch.testing.assert_close(after, expected, atol=1e-4, rtol=1e-4)
    before = replace(encoder, final_norm=False).tokens(photo, torch.float32)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(timm_model(encoder).norm(before), after, atol=1e-4, rtol=1e-4)


def test_precision_is_judged_on_the_tokens_that_are_taken(
    dino_vit: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True}, raising=False)
    encoder = load_dino(dino_vit.model, dino_vit.weights, CPU)
    with torch.no_grad():
        timm_model(encoder).norm.weight.fill_(torch.inf)
    assert replace(encoder, final_norm=False).precision == torch.bfloat16
    assert encoder.precision == torch.float32


@pytest.mark.parametrize(("layer", "block"), [(None, 1), (0, 0), (-2, 0), (1, 1)])
def test_tokens_are_those_of_the_block_asked_for(
    dino_vit: Files, layer: int | None, block: int
) -> None:
    encoder = load_dino(dino_vit.model, dino_vit.weights, CPU, layer, final_norm=False)
    seen: list[torch.Tensor] = []
    timm_model(encoder).blocks[block].register_forward_hook(lambda *call: seen.append(call[2]))
    tokens = encoder.tokens(make_photo(64, 64), torch.float32)
    torch.testing.assert_close(tokens.flatten(0, 1), seen[0][0, 3:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layer", [2, -3])
def test_a_block_that_is_not_there_is_told(dino_vit: Files, layer: int) -> None:
    with pytest.raises(WeightsError, match=rf"layer: {layer}, but .* has the blocks 0 to 1"):
        load_dino(dino_vit.model, dino_vit.weights, CPU, layer)


_SMALL = {"depth": 2, "embed_dim": 48, "num_heads": 2}


@pytest.mark.parametrize(
    ("name", "kwargs", "patch", "prefix"),
    [
        ("vit_small_patch8_224", _SMALL, 8, 1),
        ("vit_small_patch16_224", _SMALL, 16, 1),
        ("vit_small_patch14_dinov2", _SMALL, 14, 1),
        ("vit_small_patch14_reg4_dinov2", _SMALL, 14, 5),
        ("vit_small_patch16_dinov3", _SMALL, 16, 5),
        ("vit_tiny_patch16_224", {"depth": 2, "class_token": False, "global_pool": "avg"}, 16, 0),
    ],
)
def test_tokens_of_every_kind_of_vit_are_the_models_own(
    name: str, kwargs: dict[str, Any], patch: int, prefix: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0, **kwargs).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    content = {"model": name, "kwargs": kwargs, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    (tmp_path / "model.json").write_text(json.dumps(content))
    encoder = load_dino(str(tmp_path / "model.json"), str(tmp_path / "weights.safetensors"), CPU)
    assert encoder.patch == patch
    native = make_photo(*network.patch_embed.img_size)
    pixels = (native.permute(2, 0, 1)[None] / 255 - encoder.mean) / encoder.std
    with torch.no_grad():
        expected = network.forward_features(pixels)[0, prefix:]
    tokens = encoder.tokens(native, torch.float32)
    torch.testing.assert_close(tokens.flatten(0, 1), expected, atol=1e-4, rtol=1e-4)
    # Another shape, and no multiple of the patch: the remainder changes nothing.
    photo = make_photo(5 * patch + 3, 7 * patch + 1)
    tokens = encoder.tokens(photo, torch.float32)
    assert tokens.shape == (5, 7, encoder.dim)
    photo[5 * patch :], photo[:, 7 * patch :] = 0, 0
    torch.testing.assert_close(encoder.tokens(photo, torch.float32), tokens)


@pytest.mark.parametrize(
    "name", ["vit_small_patch14_reg4_dinov2.lvd142m", "vit_small_patch16_dinov3"]
)
def test_named_model_takes_a_local_file_of_full_size(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    encoder = load_dino(name, str(tmp_path / "weights.safetensors"), CPU)
    assert encoder.dim == 384
    # DINOv2 interpolates 37 x 37 position embeddings, DINOv3 rotates by position.
    tokens = encoder.tokens(make_photo(60, 100), torch.float32)
    assert tokens.shape == (60 // encoder.patch, 100 // encoder.patch, 384)
    other = timm.create_model(name, num_classes=0, dynamic_img_size=True).eval()
    other.load_state_dict(network.state_dict())
    height, width = (side * encoder.patch for side in tokens.shape[:2])
    pixels = make_photo(60, 100)[:height, :width].permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        features = other.forward_features((pixels - encoder.mean) / encoder.std)[0]
    expected = features[-len(tokens.flatten(0, 1)) :]
    torch.testing.assert_close(tokens.flatten(0, 1), expected, atol=1e-4, rtol=1e-4)


def test_tokens_elsewhere_are_those_of_the_cpu(dino_vit: Files, encoder: DinoEncoder) -> None:
    photo = make_photo(40, 72)
    with elsewhere() as place:
        there = load_dino(dino_vit.model, dino_vit.weights, place)
        photo_there = photo.to(place)
        with watched_waits() as waits:
            tokens = there.tokens(photo_there, torch.float32)
        assert not waits
        assert tokens.device == place
        tokens = tokens.cpu()
    torch.testing.assert_close(tokens, encoder.tokens(photo, torch.float32), atol=1e-4, rtol=1e-4)


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
    written = {name: json.dumps(variant) for name, variant in variants.items()}
    places = {"clip": clip_vit.weights, **broken_files(dino_vit, written, tmp_path)}
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
    with pytest.raises(WeightsError, match=r"resnet10t\.c3_in1k takes pictures of one size only"):
        load_dino("resnet10t.c3_in1k", str(weights), CPU)


def test_load_dino_refuses_a_transformer_whose_windows_shift(tmp_path: Path) -> None:
    name = "swin_tiny_patch4_window7_224"
    network = timm.create_model(name, num_classes=0)
    weights = tmp_path / "swin.safetensors"
    save_file(network.state_dict(), weights)
    with pytest.raises(WeightsError, match=f"{name}: no ViT with square patches"):
        load_dino(name, str(weights), CPU)
