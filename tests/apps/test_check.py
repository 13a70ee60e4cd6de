"""`ovs3d check`: every mistake is one line that says what, where and what to do."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import open_clip
import pytest
from PIL import Image, ImageFilter

from ovs3d.apps import findings
from ovs3d.apps.cli import main
from ovs3d.params import load_scene_params
from tests.closure import ROOT
from tests.intake.formats import make_truth, write_llff
from tests.synthetic import LABELS, make_scene

Spoil = Callable[[Path], object]
"""Makes a mistake in a project."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the scene `boxes`, with poses and masks."""
    made = tmp_path_factory.mktemp("good")
    folder, source = made / "project", made / "source"
    (folder / "data").mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "data/weights").symlink_to(ROOT / "data/weights")
    many = make_scene(15, 96, 72)
    write_llff(make_truth(many, made / "truth"), source)
    mask = Image.fromarray((many.label_maps[4].numpy() == 3).astype(np.uint8) * 255)
    (source / "segmentations/4").mkdir(parents=True)
    mask.save(source / "segmentations/4/floor.png")
    (source / "segmentations/classes.txt").write_text("\n".join(LABELS) + "\n")
    with chdir(folder):
        assert main(["new-scene", "boxes", str(source), "--preset", "tiny"]) == 0
    return folder


@pytest.fixture
def project(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that is the current folder, on a machine without the extra `hf`."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    folder = shutil.copytree(good, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def images(folder: Path) -> Path:
    return folder / "data/raw/boxes/images"


def masks(folder: Path) -> Path:
    return folder / "data/raw/boxes/segmentations"


def edit_params(old: str, new: str) -> Spoil:
    def edit(folder: Path) -> None:
        head, name, entry = (folder / "params.yaml").read_text().partition("  boxes:\n")
        assert old in entry
        (folder / "params.yaml").write_text(head + name + entry.replace(old, new, 1))

    return edit


def section(name: str, values: str) -> Spoil:
    return edit_params(f"{name}: {{}}", f"{name}: {{{values}}}")


def write_labels(*labels: str) -> Spoil:
    return lambda folder: (masks(folder) / "classes.txt").write_text("\n".join(labels) + "\n")


def blur(folder: Path) -> None:
    path = images(folder) / "005.png"
    with Image.open(path) as photo:
        blurred = photo.filter(ImageFilter.GaussianBlur(5))
    blurred.save(path)


def cut_photo(folder: Path) -> None:
    path = images(folder) / "005.png"
    path.write_bytes(path.read_bytes()[:3000])


def keep_two(folder: Path) -> None:
    shutil.rmtree(images(folder) / "poses")
    for path in sorted(images(folder).iterdir())[2:]:
        path.unlink()


def square_mask(folder: Path) -> None:
    Image.new("L", (50, 50)).save(masks(folder) / "4/floor.png")


def siglip(folder: Path) -> None:
    configuration = open_clip.get_model_config("ViT-B-16-SigLIP")
    (folder / "siglip.json").write_text(json.dumps(configuration))
    section("clip_features", "model: siglip.json, weights: siglip.json")(folder)


WORDY = "a " * 80 + "thing"
MISTAKES: dict[str, tuple[Spoil, str, str]] = {
    "unknown parameter": (
        section("distill", "itertions: 3"),
        "error",
        r"scenes\.boxes\.distill\.itertions: unknown key; did you mean 'iterations'",
    ),
    "too few photos": (keep_two, "error", r"images: 2 photos; a scene needs 3"),
    "blurred photo": (blur, "warning", r"blurred compared with the others: 005\.png"),
    "same photo twice": (
        lambda folder: shutil.copy(images(folder) / "005.png", images(folder) / "006.png"),
        "warning",
        r"show the same as another: 006\.png \(as 005\.png\)",
    ),
    "no labels": (write_labels(), "error", r"classes\.txt: no labels in it"),
    "one label": (write_labels("floor"), "warning", "one label, so everything gets it"),
    "label too long": (
        write_labels("floor", WORDY),
        "error",
        r"label 'a a .*thing' is too long: .* \d+ tokens, and the model reads \d+; shorten",
    ),
    "phrase too long": (
        write_labels("floor = ground | " + WORDY, "wall"),
        "error",
        r"phrase 'a a .*thing' of label 'floor' is too long: .* tokens, and the model reads",
    ),
    "phrase twice": (
        write_labels("floor = ground | Ground"),
        "error",
        r"line 1: label 'floor' has the phrase 'Ground' twice",
    ),
    "phrase of two labels": (
        write_labels("floor", "wall = Floor | bricks"),
        "warning",
        r"classes\.txt: the phrase 'Floor' stands for 'floor' and for 'wall', which makes",
    ),
    "mask of another shape": (
        square_mask,
        "error",
        r"floor\.png: 50 x 50 pixels, but the photos have 96 x 72",
    ),
    "mask of no label": (write_labels("red box", "wall"), "error", "'floor' is no label of this"),
    "masks trained on": (
        edit_params("test_views: [4]", "test_views: []"),
        "error",
        "views with masks would be trained on: 4; add them to test_views or val_views",
    ),
    "validation view lost": (
        edit_params("val_views: []", "val_views: [15]"),
        "error",
        "val_views names view 15, but the 15 photos are views 0 to 14",
    ),
    "validation view in the test": (
        edit_params("val_views: []", "val_views: [4]"),
        "error",
        r"scenes\.boxes\.val_views: view 4 is in test_views too",
    ),
    "test view lost": (
        edit_params("test_views: [4]", "test_views: [4, 15]"),
        "error",
        "test_views names view 15, but the 15 photos are views 0 to 14",
    ),
    "photo without pose": (
        lambda folder: (images(folder) / "003.png").rename(images(folder) / "new.png"),
        "error",
        r"poses without a photo: 003\.png; photos without a pose: new\.png",
    ),
    "no such model": (
        section("clip_features", "model: ViT-B-61, weights: openai"),
        "error",
        "knows no model 'ViT-B-61'; nearest: V",
    ),
    "no such tag": (
        section("clip_features", "model: ViT-B-16, weights: opnai"),
        "error",
        "'opnai' is neither a file, nor TAG@FILE",
    ),
    "tokenizer of a package that is missing": (
        siglip,
        "error",
        r"siglip\.json: cannot make its tokenizer \(.*\); run pip install 'ovs3d\[hf\]'$",
    ),
    "no such ViT": (
        section("dino_features", "model: vit_base_patch8_224.dno"),
        "error",
        "timm knows no model 'vit_base_patch8_224.dno'; nearest: vit",
    ),
    "weights lost": (
        section("dino_features", "weights: gone.safetensors"),
        "error",
        r"gone\.safetensors: no such file; set dino_features\.weights to one",
    ),
}


def check(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = main(["check", "boxes"])
    return code, capsys.readouterr().out.splitlines()


def test_a_good_scene_has_no_findings_but_its_models(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = check(capsys)
    assert code == 0
    assert re.search(r"^warning: .*ovs3d-tiny\.safetensors knows only .* demo", lines[0])
    assert lines[1:] == [
        "scene boxes: no errors, 1 warning; next: dvc repro evaluate@boxes render@boxes"
    ]
    clip = load_scene_params(project / "params.yaml", "boxes").stages.clip_features
    assert list(findings.check_models("demo", clip)) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    spoil, level, message = MISTAKES[mistake]
    spoil(project)
    code, lines = check(capsys)
    assert code == (1 if level == "error" else 0)
    hits = [line for line in lines if re.search(message, line)]
    assert len(hits) == 1, lines
    assert hits[0].startswith(f"{level}: ")


def test_findings_of_one_check_do_not_hide_those_of_another(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_photo(project)
    write_labels("floor", "Floor")(project)
    code, lines = check(capsys)
    assert code == 1
    for message in (r"005\.png: cannot be read as an image", "'Floor' is on line 1 already"):
        assert sum(bool(re.search(f"^error: .*{message}", line)) for line in lines) == 1


def test_every_phrase_that_is_too_long_is_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(f"floor = {WORDY} | x{WORDY}", f"y{WORDY}")(project)
    code, lines = check(capsys)
    assert code == 1
    assert sum("is too long: with its prompt" in line for line in lines) == 3


def test_masks_of_validation_views_are_held_out(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_params("val_views: []\n    test_views: [4]", "val_views: [4]\n    test_views: []")(project)
    assert check(capsys)[0] == 0


def test_a_full_disk_is_told(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full = shutil.disk_usage(project)._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
    code, lines = check(capsys)
    assert code == 1
    assert re.search(r"error: .*boxes: 0\.0 GB free on the disk, but .* may take \d", lines[0])


def test_pretrained_weights_are_looked_for_without_network(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """An empty cache: a warning; the file in the cache: none."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path))
    edit_params("preset: tiny", "preset: paper")(project)
    code, lines = check(capsys)
    assert code == 0
    assert sum("are not on this machine; the stage will download" in line for line in lines) == 2
    (tmp_path / ".cache/clip").mkdir(parents=True)
    (tmp_path / ".cache/clip/ViT-B-16.pt").write_bytes(b"weights")
    _, lines = check(capsys)
    assert sum("are not on this machine" in line for line in lines) == 1


def test_many_photos_are_better_matched_in_sequence(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for index in range(201):
        noise = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{index}.png")
    texts = [found.text for found in findings.check_photos(tmp_path, False, "exhaustive")]
    assert any("201 photos make 20100 pairs to match" in text for text in texts)
    texts = [found.text for found in findings.check_photos(tmp_path, False, "sequential")]
    assert not any("pairs" in text for text in texts)
