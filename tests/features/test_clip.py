import json
import shutil
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from open_clip.constants import OPENAI_DATASET_MEAN
from PIL import Image
from torch.nn.functional import cosine_similarity, normalize

from ovs3d.errors import ParamsError, SceneError, WeightsError
from ovs3d.features import clip
from ovs3d.features.clip import ClipEncoder, load_clip
from ovs3d.photos.labels import Label, named
from tests.devices import elsewhere, watched_waits
from tests.features.conftest import Files
from tests.features.test_crops import BOXES, make_photo

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["vit", "cnn"])
def encoder(request: pytest.FixtureRequest) -> ClipEncoder:
    files: Files = request.getfixturevalue(f"clip_{request.param}")
    return load_clip(files.model, files.weights, CPU)


def open_clip_model(encoder: ClipEncoder) -> Any:
    """Return the model as open_clip's, with the methods that a plain module lacks."""
    return encoder.model


def test_an_unknown_model_has_no_tokenizer_not_that_of_another() -> None:
    with pytest.raises(WeightsError, match="knows no model 'ViT-B-61'"):
        clip.make_tokenizer("ViT-B-61")


def test_load_clip_reads_sizes_from_the_configuration(encoder: ClipEncoder) -> None:
    assert encoder.dim == 16
    assert encoder.image_size == 32


def test_encode_windows_agrees_with_open_clip_on_squashed_crops(encoder: ClipEncoder) -> None:
    photo = make_photo()
    vectors = encoder.encode_windows(photo, torch.tensor(BOXES))
    transform = open_clip.image_transform(32, is_train=False, resize_mode="squash")
    picture = Image.fromarray(photo.numpy())
    inputs = torch.stack([transform(picture.crop(box)) for box in BOXES])
    with torch.no_grad():
        expected = open_clip_model(encoder).encode_image(inputs)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(BOXES)))
    assert cosine_similarity(vectors, expected).min() > 0.9995


@pytest.mark.parametrize("place", ["cpu", "gpu"])
def test_prepared_windows_are_open_clips_squashed_crops(encoder: ClipEncoder, place: str) -> None:
    photo, boxes = make_photo(), torch.tensor(BOXES)
    mean, std = encoder.mean.flatten().tolist(), encoder.std.flatten().tolist()
    transform = open_clip.image_transform(
        32, is_train=False, mean=mean, std=std, resize_mode="squash"
    )
    picture = Image.fromarray(photo.numpy())
    expected = torch.stack([transform(picture.crop(box)) for box in BOXES])
    if place == "cpu":
        squares = encoder.prepare(photo, boxes)
    else:
        with elsewhere() as device:
            moved = replace(encoder, mean=encoder.mean.to(device), std=encoder.std.to(device))
            squares = moved.prepare(photo.to(device), boxes).cpu()
    # In 0..1, for each window.
    difference = ((squares - expected) * encoder.std).abs().mean(dim=(1, 2, 3))
    assert difference.max() < 1 / 255


def test_a_batch_of_windows_waits_for_nothing(encoder: ClipEncoder) -> None:
    photo, boxes = make_photo(), torch.tensor(BOXES)
    with elsewhere() as device:
        network = deepcopy(encoder.model).to(device)
        there = replace(
            encoder, model=network, mean=encoder.mean.to(device), std=encoder.std.to(device)
        )
        photo = photo.to(device)
        there.encode_windows(photo, boxes)
        with watched_waits() as waits:
            there.encode_windows(photo, boxes)
    assert not waits


def test_windows_are_embedded_elsewhere_as_on_the_cpu(clip_vit: Files) -> None:
    photo, boxes = make_photo(), torch.tensor(BOXES)
    labels = [named("red apple"), Label("lawn", ("lawn", "green grass"))]
    here = load_clip(clip_vit.model, clip_vit.weights, CPU)
    with elsewhere() as device:
        there = load_clip(clip_vit.model, clip_vit.weights, device)
        vectors = there.encode_windows(photo.to(device), boxes)
        text = there.encode_text(labels, ["{}", "a {}"])
        assert vectors.device == text.device == device
        vectors, text = vectors.cpu(), text.cpu()
    assert there.digest == here.digest
    assert cosine_similarity(vectors, here.encode_windows(photo, boxes)).min() > 0.9995
    torch.testing.assert_close(text, here.encode_text(labels, ["{}", "a {}"]))


def test_windows_are_turned_clockwise(encoder: ClipEncoder) -> None:
    photo, boxes = make_photo(), torch.tensor(BOXES)
    turned = encoder.encode_windows(photo, boxes, 90)
    # Pillow turns the other way.
    picture = Image.fromarray(photo.numpy())
    crops = [picture.crop(box).transpose(Image.Transpose.ROTATE_270) for box in BOXES]
    expected = [
        encoder.encode_windows(
            torch.from_numpy(np.array(crop)), torch.tensor([[0, 0, crop.width, crop.height]])
        )
        for crop in crops
    ]
    assert cosine_similarity(turned, torch.cat(expected)).min() > 0.9995
    assert cosine_similarity(turned, encoder.encode_windows(photo, boxes)).min() < 0.999


def test_encode_windows_does_not_depend_on_the_batch(encoder: ClipEncoder) -> None:
    photo, boxes = make_photo(), torch.tensor(BOXES)
    all_at_once = encoder.encode_windows(photo, boxes)
    one = torch.cat([encoder.encode_windows(photo, box[None]) for box in boxes])
    torch.testing.assert_close(one, all_at_once, atol=1e-4, rtol=0)


def test_encode_text_averages_normalised_prompts(encoder: ClipEncoder) -> None:
    templates = ["{}", "a photo of a {}"]
    vectors = encoder.encode_text([named("red apple"), named("{odd} label")], templates)
    prompts = ["red apple", "a photo of a red apple", "{odd} label", "a photo of a {odd} label"]
    with torch.no_grad():
        single = normalize(open_clip_model(encoder).encode_text(encoder.tokenizer(prompts)), dim=-1)
    expected = normalize(torch.stack([single[:2].mean(0), single[2:].mean(0)]), dim=-1)
    torch.testing.assert_close(vectors, expected)


def test_encode_text_averages_the_phrases_of_a_label(encoder: ClipEncoder) -> None:
    templates = ["{}", "a photo of a {}"]
    labels = [Label("mug", ("blue mug", "a cup", "crockery")), named("wall")]
    vectors = encoder.encode_text(labels, templates)
    prompts = [each.format(phrase) for phrase in labels[0].phrases for each in templates]
    with torch.no_grad():
        single = normalize(open_clip_model(encoder).encode_text(encoder.tokenizer(prompts)), dim=-1)
    torch.testing.assert_close(vectors[0], normalize(single.mean(0), dim=-1))
    # Neither the name nor the labels beside it count.
    torch.testing.assert_close(vectors[1:], encoder.encode_text(labels[1:], templates))


def test_encode_text_is_open_clips_zero_shot_classifier(encoder: ClipEncoder) -> None:
    labels = ["red apple", "banana", "lawn"]
    templates = ["a photo of a {}.", "{}", "a blurry picture of the {} in a room"]
    expected = open_clip.build_zero_shot_classifier(
        encoder.model, encoder.tokenizer, labels, templates
    )
    torch.testing.assert_close(encoder.encode_text([*map(named, labels)], templates), expected.T)


def test_encode_text_takes_what_just_fits_and_refuses_what_would_be_cut_off(
    encoder: ClipEncoder,
) -> None:
    # The context of the tests' models is 12 tokens, start and end included.
    fits = "a b c d e f g h i j"
    assert encoder.encode_text([named(fits)], ["{}"]).shape == (1, 16)
    with pytest.raises(SceneError, match=f"label '{fits} k' is too long: .* 13 tokens"):
        encoder.encode_text([named("short"), named(f"{fits} k")], ["{}"])
    with pytest.raises(SceneError, match=f"label '{fits}' is too long"):
        encoder.encode_text([named(fits)], ["{}", "a photo of {}"])


def test_encode_text_can_take_part_in_a_differentiable_product(encoder: ClipEncoder) -> None:
    weights = torch.ones(16, requires_grad=True)
    (encoder.encode_text([named("a"), named("b")], ["{}"]) @ weights).sum().backward()
    assert weights.grad is not None


def test_encode_text_refuses_a_template_without_a_place_for_the_label(
    encoder: ClipEncoder,
) -> None:
    with pytest.raises(ParamsError, match=r"'a photo' has no \{\} where the label goes"):
        encoder.encode_text([named("a")], ["{}", "a photo"])


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
    cut, foreign = tmp_path / "cut.safetensors", tmp_path / "foreign.json"
    broken, nonsense = tmp_path / "broken.json", tmp_path / "nonsense.json"
    cut.write_bytes(Path(clip_vit.weights).read_bytes()[:5000])
    foreign.write_text("{}")
    broken.write_text("{")
    null, empty = tmp_path / "null.json", tmp_path / "empty.json"
    empty.write_text('{"model_cfg": null}')
    null.write_text('{"embed_dim": 8, "vision_cfg": {}, "text_cfg": null}')
    nonsense.write_text('{"embed_dim": 8, "vision_cfg": {"colour": 1}, "text_cfg": {}}')
    places = {
        "model": clip_vit.model,
        "weights": clip_vit.weights,
        "dino": dino_vit.weights,
        "cut": cut,
        "foreign": foreign,
        "broken": broken,
        "nonsense": nonsense,
        "null": null,
        "empty": empty,
    }
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


def test_named_model_with_a_tag_takes_activation_and_preprocessing_from_the_tag(
    clip_vit: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = json.loads(Path(clip_vit.model).read_text())
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", configuration)
    tag = {"hf_hub": "owner/name/", "quick_gelu": True, "mean": (0.1, 0.2, 0.3)}
    monkeypatch.setattr(clip, "get_pretrained_cfg", lambda *_: tag)

    def hub_file(repository: str, *_: Any) -> Path:
        assert repository == "owner/name"
        return Path(clip_vit.weights)

    monkeypatch.setattr(clip, "hub_file", hub_file)
    named = load_clip("tiny", "sometag", CPU)
    np.testing.assert_allclose(named.mean.flatten(), [0.1, 0.2, 0.3])
    assert any(type(module).__name__ == "QuickGELU" for module in named.model.modules())
    plain = load_clip(clip_vit.model, clip_vit.weights, CPU)
    boxes = torch.tensor(BOXES)
    assert named.digest != plain.digest
    assert not torch.allclose(
        named.encode_windows(make_photo(), boxes), plain.encode_windows(make_photo(), boxes)
    )


def test_named_model_with_a_file_equals_the_configuration_with_that_file(
    clip_vit: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = json.loads(Path(clip_vit.model).read_text())
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", configuration)
    named = load_clip("tiny", clip_vit.weights, CPU)
    plain = load_clip(clip_vit.model, clip_vit.weights, CPU)
    boxes = torch.tensor(BOXES)
    photo = make_photo()
    torch.testing.assert_close(
        named.encode_windows(photo, boxes), plain.encode_windows(photo, boxes)
    )


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
    known, file = clip.named_weights(model, clip_vit.weights)
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
