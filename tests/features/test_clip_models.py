"""Which model, weights and tokenizer a name or a file stands for, and what is told if none."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from open_clip.constants import OPENAI_DATASET_MEAN

from ovs3d.errors import WeightsError
from ovs3d.features import clip_models
from ovs3d.features.clip import ClipEncoder, load_clip
from tests.features.conftest import Files, broken_files
from tests.features.test_crops import BOXES, make_photo

CPU = torch.device("cpu")


def test_an_unknown_model_has_no_tokenizer_not_that_of_another() -> None:
    with pytest.raises(WeightsError, match="knows no model 'ViT-B-61'"):
        clip_models.make_tokenizer("ViT-B-61")


def test_load_clip_leaves_random_numbers_alone(clip_vit: Files) -> None:
    state = torch.random.get_rng_state()
    load_clip(clip_vit.model, clip_vit.weights, CPU)
    assert torch.equal(state, torch.random.get_rng_state())


def test_digest_follows_content_and_not_place(clip_vit: Files, tmp_path: Path) -> None:
    original = load_clip(clip_vit.model, clip_vit.weights, CPU).digest
    moved = tmp_path / "moved.safetensors"
    shutil.copy(clip_vit.weights, moved)
    assert load_clip(clip_vit.model, str(moved), CPU).digest == original
    configuration = json.loads(Path(clip_vit.model).read_text())
    configuration = {"model_cfg": configuration, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5]}}
    (tmp_path / "model.json").write_text(json.dumps(configuration))
    changed = load_clip(str(tmp_path / "model.json"), clip_vit.weights, CPU)
    assert changed.digest != original
    torch.testing.assert_close(changed.mean.flatten(), torch.full((3,), 0.5))


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        ("ViT-B-61", "openai", "knows no model 'ViT-B-61'; nearest: .*ViT-B-16"),
        ("ViT-B-16", "opnai", "'opnai' is neither a file, nor TAG@FILE.*tags: openai"),
        ("nowhere.json", "{weights}", "nowhere.json: no such file"),
        ("{model}", "nowhere.safetensors", "no weights file nowhere.safetensors; set"),
        ("{model}", "{dino}", "not the weights of"),
        ("{model}", "{cut}", "not the weights of"),
        ("ViT-B-16", "opnai@{weights}", "is neither a file, nor TAG@FILE.*tags: openai"),
        ("ViT-B-16", "openai@nowhere", "'openai@nowhere' is neither a file, nor TAG@FILE"),
        ("ViT-B-16", "{weights}", r"weights to TAG@\S+model\.safetensors; tags: openai, laion"),
        ("ViT-B-16", "openai@{weights}", "not the weights of ViT-B-16"),
        ("roberta-ViT-B-32", "{weights}", r"cannot build it .*run pip install 'ovs3d\[hf\]'$"),
        ("{foreign}", "{weights}", "needs embed_dim, vision_cfg and text_cfg"),
        ("{null}", "{weights}", "needs embed_dim, vision_cfg and text_cfg"),
        ("{empty}", "{weights}", "needs embed_dim, vision_cfg and text_cfg"),
        ("{broken}", "{weights}", "not a model configuration"),
        ("{nonsense}", "{weights}", "open_clip cannot build it"),
    ],
)
def test_load_clip_says_in_one_line_what_is_wrong(
    model: str,
    weights: str,
    message: str,
    clip_vit: Files,
    dino_vit: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_clip.hf_model, "transformers", None)
    variants = {
        "foreign": "{}",
        "broken": "{",
        "empty": '{"model_cfg": null}',
        "null": '{"embed_dim": 8, "vision_cfg": {}, "text_cfg": null}',
        "nonsense": '{"embed_dim": 8, "vision_cfg": {"colour": 1}, "text_cfg": {}}',
    }
    places = {"dino": dino_vit.weights, **broken_files(clip_vit, variants, tmp_path)}
    with pytest.raises(WeightsError, match=message) as caught:
        load_clip(model.format(**places), weights.format(**places), CPU)
    assert "\n" not in str(caught.value)


def test_load_clip_without_network_names_the_file_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError) as caught:
        load_clip("ViT-B-16", "openai", CPU)
    message = str(caught.value)
    assert "timm/vit_base_patch16_clip_224.openai/open_clip_model.safetensors" in message
    assert "HF_HUB_OFFLINE is set" in message
    assert "set clip_features.weights to openai@ and its path" in message
    assert "\n" not in message


@pytest.fixture
def tiny_tags(clip_vit: Files, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Make `clip_vit` a model of open_clip's by the name `tiny`; return its tags, to be filled."""
    tags: dict[str, dict[str, Any]] = {}
    configuration = json.loads(Path(clip_vit.model).read_text())
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", configuration)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", tags)
    return tags


def is_quick(encoder: ClipEncoder) -> bool:
    return any(type(module).__name__ == "QuickGELU" for module in encoder.model.modules())


def test_named_model_with_a_tag_takes_activation_and_preprocessing_from_the_tag(
    clip_vit: Files, tiny_tags: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_tags["a"] = {"hf_hub": "owner/name/", "quick_gelu": True, "mean": (0.1, 0.2, 0.3)}

    def download(repository: str, *_: Any, **__: Any) -> str:
        assert repository == "owner/name"
        return clip_vit.weights

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    named = load_clip("tiny", "a", CPU)
    np.testing.assert_allclose(named.mean.flatten(), [0.1, 0.2, 0.3])
    assert is_quick(named)
    plain = load_clip(clip_vit.model, clip_vit.weights, CPU)
    photo, boxes = make_photo(), torch.tensor(BOXES)
    assert named.digest != plain.digest
    assert not torch.allclose(
        named.encode_windows(photo, boxes), plain.encode_windows(photo, boxes)
    )


@pytest.mark.usefixtures("tiny_tags")
def test_named_model_with_a_file_equals_the_configuration_with_that_file(clip_vit: Files) -> None:
    named = load_clip("tiny", clip_vit.weights, CPU)
    plain = load_clip(clip_vit.model, clip_vit.weights, CPU)
    photo, boxes = make_photo(), torch.tensor(BOXES)
    torch.testing.assert_close(
        named.encode_windows(photo, boxes), plain.encode_windows(photo, boxes)
    )


def test_file_takes_activation_and_preprocessing_that_all_tags_share(
    clip_vit: Files, tiny_tags: dict[str, dict[str, Any]]
) -> None:
    tiny_tags["a"] = tiny_tags["b"] = {"mean": (0.5, 0.6, 0.7), "quick_gelu": True}
    encoder = load_clip("tiny", clip_vit.weights, CPU)
    np.testing.assert_allclose(encoder.mean.flatten(), [0.5, 0.6, 0.7])
    assert is_quick(encoder)


@pytest.mark.parametrize(
    "other", [{"mean": (0.5, 0.5, 0.5)}, {"std": (0.5, 0.5, 0.5)}, {"quick_gelu": True}]
)
def test_file_needs_a_tag_where_tags_differ(
    clip_vit: Files, tiny_tags: dict[str, dict[str, Any]], other: dict[str, Any]
) -> None:
    tiny_tags.update(one={}, other=other)
    with pytest.raises(WeightsError, match=f"to TAG@{clip_vit.weights}; tags: one, other"):
        load_clip("tiny", clip_vit.weights, CPU)
    one, found = (load_clip("tiny", f"{tag}@{clip_vit.weights}", CPU) for tag in ("one", "other"))
    expected = {"mean": one.mean.flatten(), "std": one.std.flatten(), "quick_gelu": False, **other}
    np.testing.assert_allclose(found.mean.flatten(), expected["mean"])
    np.testing.assert_allclose(found.std.flatten(), expected["std"])
    assert is_quick(found) == expected["quick_gelu"]
    assert found.digest != one.digest


@pytest.mark.parametrize(
    ("model", "mean", "quick_gelu"),
    [
        ("ViT-B-16-quickgelu", OPENAI_DATASET_MEAN, True),
        ("RN50", OPENAI_DATASET_MEAN, True),
        ("ViT-B-16-SigLIP2", (0.5, 0.5, 0.5), False),
        ("MobileCLIP-B", (0.0, 0.0, 0.0), False),
        ("ViT-L-14-CLIPA", (0.485, 0.456, 0.406), False),
    ],
)
def test_files_of_open_clips_models_that_need_no_tag(
    clip_vit: Files, model: str, mean: tuple[float, ...], quick_gelu: bool
) -> None:
    known, file = clip_models.named_weights(model, clip_vit.weights)
    assert file == Path(clip_vit.weights)
    assert (known["mean"], known.get("quick_gelu", False)) == (mean, quick_gelu)


@pytest.mark.parametrize("name", ["tiny", "file"])
def test_tokenizer_of_a_missing_package_is_told_in_one_line(
    clip_vit: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    configuration = json.loads(Path(clip_vit.model).read_text())
    configuration["text_cfg"]["hf_tokenizer_name"] = "owner/name"
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", configuration)
    (tmp_path / "model.json").write_text(json.dumps(configuration))
    monkeypatch.setitem(sys.modules, "transformers", None)
    model = {"tiny": "tiny", "file": str(tmp_path / "model.json")}[name]
    expected = r"cannot make its tokenizer \(.*transformers.*\); run pip install 'ovs3d\[hf\]'$"
    with pytest.raises(WeightsError, match=expected) as caught:
        load_clip(model, clip_vit.weights, CPU)
    assert "\n" not in str(caught.value)
