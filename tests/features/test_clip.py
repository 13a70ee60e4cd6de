"""What CLIP makes of windows and texts, against open_clip itself."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity, normalize

from ovs3d.errors import ParamsError, SceneError
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
