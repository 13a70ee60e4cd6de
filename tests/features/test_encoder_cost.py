"""Costs of encoders, counted without weights."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ovs3d.errors import WeightsError
from ovs3d.features.encoder_cost import clip_tower, dino_network, encoder_cost, seconds_per_flop
from tests.features.conftest import Files

SIDE = 4


class Small(nn.Module):
    """3 x 4 x 4 numbers to 10 to 5."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(48, 10), nn.Linear(10, 5))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(values)
        return result


def test_operations_are_counted_on_the_meta_device() -> None:
    with torch.device("meta"):
        cost = encoder_cost(Small(), SIDE, SIDE)
    assert cost.flops == 2 * (48 * 10 + 10 * 5)
    assert cost.parameters == 48 * 10 + 10 + 10 * 5 + 5
    assert (cost.largest, cost.dim) == (48, 5)


def test_time_is_measured_without_weights() -> None:
    with torch.device("meta"):
        network = Small()
    assert seconds_per_flop(network, SIDE, 2, torch.device("cpu")) > 0
    assert next(network.parameters()).is_meta


@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_model_files_are_built_without_weights(kind: str, clip_vit: Files, dino_vit: Files) -> None:
    network, side = clip_tower(clip_vit.model) if kind == "clip" else dino_network(dino_vit.model)
    assert side == {"clip": 32, "dino": 8}[kind]
    cost = encoder_cost(network, 32, 64) if kind == "dino" else encoder_cost(network, side, side)
    assert cost.dim == {"clip": 16, "dino": 24}[kind]


def test_published_models_are_counted_without_their_weights() -> None:
    network, side = clip_tower("ViT-B-16")
    cost = encoder_cost(network, side, side)
    assert (side, cost.dim) == (224, 512)
    assert cost.parameters == pytest.approx(86.2e6, rel=0.01)
    # 17.6 billion multiplications with additions, as published for a ViT-B/16.
    assert cost.flops == pytest.approx(35.1e9, rel=0.02)


def test_configuration_that_open_clip_cannot_build_is_told(tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    for vision in ('{"colour": 1}', "null"):
        file.write_text(f'{{"embed_dim": 8, "vision_cfg": {vision}, "text_cfg": {{}}}}')
        with pytest.raises(
            WeightsError, match=r"model\.json: (open_clip cannot build|not an open)"
        ):
            clip_tower(str(file))


def test_unknown_models_are_told_with_the_nearest() -> None:
    with pytest.raises(WeightsError, match=r"no model 'ViT-B-61'; nearest: .*ViT-B-16"):
        clip_tower("ViT-B-61")
    with pytest.raises(WeightsError, match="timm knows no model"):
        dino_network("vit_nothing")
