"""`ovs3d new-scene`: what it makes, and that a mistake leaves nothing behind."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ovs3d.apps.cli import main
from ovs3d.params import load_scene_params
from tests.evaluation.oracle import read_folder
from tests.intake.test_video import picture, write_video
from tests.synthetic import LABELS


def new_scene(*words: object) -> int:
    return main(["new-scene", *map(str, words)])


def test_a_folder_of_photos_becomes_a_scene(
    project: Path, scene_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_scene("garden", scene_folder / "images", "--labels", "red box, floor") == 0
    made = read_folder(project / "data/raw/garden")
    assert made.pop("segmentations/classes.txt") == b"red box\nfloor\n"
    assert {f"images/{k}": v for k, v in read_folder(scene_folder / "images").items()} == made
    params = load_scene_params(project / "params.yaml", "garden")
    assert params.test_views == ()
    assert params.preset == "photos"
    # The preset is for photos sixteen times as wide.
    assert params.stages.distill.downscale == 1
    assert params.stages.render.downscale == 1
    told = capsys.readouterr().out
    assert "6, 96 x 72 pixels" in told
    assert "photos" in told
    assert "none, so no mIoU" in told
    assert "redrawn" not in told
    assert "ovs3d check garden, then dvc repro evaluate@garden render@garden" in told
    assert "dvc add data/raw/garden/images && git add params.yaml data/raw/garden" in told
    # Nothing but params.yaml and the scene.
    assert sorted(path.name for path in project.iterdir()) == ["data", "params.yaml"]


def test_encoders_made_on_this_machine_are_taken_and_named(
    project: Path, scene_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = project / "data/weights/real"
    local.mkdir(parents=True)
    (local / "params.yaml").write_text("clip_features: {model: mine.json, weights: mine.bin}\n")
    assert new_scene("garden", scene_folder / "images", "--labels", "red box, floor") == 0
    clip = load_scene_params(project / "params.yaml", "garden").stages.clip_features
    assert (clip.model, clip.weights, clip.downscale) == ("mine.json", "mine.bin", 1)
    assert "data/weights/real" in capsys.readouterr().out
    assert new_scene("boxes", scene_folder, "--preset", "tiny") == 0
    assert (
        "mine" not in load_scene_params(project / "params.yaml", "boxes").stages.clip_features.model
    )
    (local / "params.yaml").write_text("no sections")
    assert new_scene("other", scene_folder / "images", "--labels", "red box, floor") == 2
    assert "no sections of parameters" in capsys.readouterr().err
    assert not (project / "data/raw/other").exists()


def test_masks_come_along_and_their_views_are_held_out(
    project: Path, scene_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_scene("boxes", scene_folder, "--preset", "tiny") == 0
    assert "knows only the rendered objects of the demo" in capsys.readouterr().out
    made = read_folder(project / "data/raw/boxes")
    assert made == read_folder(scene_folder)
    entry = yaml.safe_load((project / "params.yaml").read_text())["scenes"]["boxes"]
    assert entry["val_views"] == []
    assert entry["test_views"] == [1, 4]
    assert entry["preset"] == "tiny"
    assert entry["distill"] == {}


def test_views_may_be_kept_for_validation(
    project: Path, scene_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--preset", "tiny", "--val-views", 4, 2)
    assert new_scene("boxes", scene_folder, *words) == 0
    params = load_scene_params(project / "params.yaml", "boxes")
    assert (params.val_views, params.test_views) == ((2, 4), (1,))
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "validation views 2, 4 test views 1" in told


def test_any_preset_of_the_file_can_be_taken(project: Path, scene_folder: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    (project / "params.yaml").write_text(yaml.safe_dump({**params, "mine": params["tiny"]}))
    for preset in ("mine", "paper"):
        words = ("--labels", "a, b", "--preset", preset)
        assert new_scene(preset, scene_folder / "images", *words) == 0
        assert load_scene_params(project / "params.yaml", preset).preset == preset
    entries = yaml.safe_load((project / "params.yaml").read_text())["scenes"]
    # A preset that is made for no size of photos has the downscales that it has.
    assert entries["mine"]["distill"] == {}
    assert entries["paper"]["distill"] == {"downscale": 1}


def test_phrases_stand_in_the_file_as_they_were_given(
    project: Path, scene_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "box=red box|salt/pepper box, floor"
    assert new_scene("a", scene_folder / "images", "--labels", words) == 0
    classes = project / "data/raw/a/segmentations/classes.txt"
    assert classes.read_text() == "box = red box | salt/pepper box\nfloor\n"
    assert "box = red box | salt/pepper box, floor" in capsys.readouterr().out.replace("\n", " ")
    # The file that was written makes the same scene, and so does a data set that holds it.
    assert new_scene("b", scene_folder / "images", "--labels", classes) == 0
    again = project / "data/raw/b/segmentations/classes.txt"
    assert again.read_bytes() == classes.read_bytes()


def test_masks_are_named_as_the_label_not_as_its_phrases(project: Path, scene_folder: Path) -> None:
    classes = scene_folder / "segmentations/classes.txt"
    lines = classes.read_text().replace("red box", "red box = crate, carton")
    classes.write_text(lines)
    assert new_scene("boxes", scene_folder, "--preset", "tiny") == 0
    written = project / "data/raw/boxes/segmentations/classes.txt"
    assert written.read_text() == lines.replace(", ", " | ")
    assert (written.parent / "01/red box.png").is_file()


def test_a_video_becomes_a_scene(project: Path) -> None:
    write_video(project / "walk.mp4", [picture(index) for index in range(9)])
    assert new_scene("walk", "walk.mp4", "--labels", "a,b", "--frames", 3) == 0
    assert len(list((project / "data/raw/walk/images").iterdir())) == 3
    assert load_scene_params(project / "params.yaml", "walk").test_views == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a/b", "{photos}", "--labels", "x"), "'a/b' cannot name a scene"),
        (("demo", "{photos}", "--labels", "x"), "scene 'demo' exists already"),
        (("new", "nowhere", "--labels", "x"), "nowhere: no such file or folder"),
        (("new", "{empty}", "--labels", "x"), "no photos in it"),
        (("new", "{photos}"), "no labels; say what is in the scene"),
        (("new", "{photos}", "--labels", "x,,y"), "--labels: name 2 is blank"),
        (("new", "{photos}", "--labels", "x, " + "a " * 80), "is too long: with its prompt"),
        (("new", "{photos}", "--labels", "x,X"), "label 'X' is on name 1 already"),
        (
            ("new", "{photos}", "--labels", "x", "--val-views", "6"),
            "val_views names view 6, but the 6 photos are views 0 to 5",
        ),
        (("new", "{photos}", "--labels", "lost.txt"), "--labels lost.txt: no such file"),
        (
            ("new", "{photos}", "--labels", "x", "--preset", "huge"),
            "--preset huge: params.yaml has",
        ),
        (
            ("new", "{masked}", "--labels", "x"),
            "{masked}/segmentations/01/blue box.png: 'blue box'",
        ),
        (("new", "{params}", "--labels", "x"), "params.yaml: no video; expected .mp4"),
        (("new", "{sizes}", "--labels", "x"), "{sizes}/b.png: 100 x 80 pixels, but a.png has 90"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    project: Path,
    scene_folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    (project / "empty").mkdir()
    (project / "sizes").mkdir()
    picture(0).resize((90, 80)).save(project / "sizes/a.png")
    picture(0).resize((100, 80)).save(project / "sizes/b.png")
    places = {
        "photos": scene_folder / "images",
        "masked": scene_folder,
        "empty": project / "empty",
        "sizes": project / "sizes",
        "params": project / "params.yaml",
    }
    before = read_folder(project)
    assert new_scene(*(word.format(**places) for word in words)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.format(**places) in error
    assert error.startswith("ovs3d new-scene: ")
    assert read_folder(project) == before
    assert not list((project / "data").glob("raw/*")) if (project / "data").exists() else True


def test_replace_brings_new_photos_and_keeps_the_entry(
    project: Path, scene_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_scene("boxes", scene_folder, "--preset", "tiny") == 0
    entry = (project / "params.yaml").read_bytes()
    (scene_folder / "images/000.png").unlink()
    shutil.rmtree(scene_folder / "segmentations")
    words = ("boxes", scene_folder, "--labels", ",".join(LABELS[:2]), "--replace")
    assert new_scene(*words) == 0
    assert len(list((project / "data/raw/boxes/images").iterdir())) == 5
    assert (project / "params.yaml").read_bytes() == entry
    assert "stays as it was" in capsys.readouterr().out


def test_interrupt_leaves_nothing(
    project: Path, scene_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", interrupted)
    before = read_folder(project)
    assert new_scene("boxes", scene_folder, "--preset", "tiny") == 130
    assert read_folder(project) == before


def test_outside_a_project_it_says_where_to_run(
    scene_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(scene_folder)
    assert new_scene("boxes", scene_folder) == 2
    assert (
        "params.yaml does not exist; run from the folder that holds it" in capsys.readouterr().err
    )


@pytest.fixture
def boxes(project: Path, scene_folder: Path) -> Path:
    """A scene that was made of photos and masks."""
    assert new_scene("boxes", scene_folder, "--preset", "tiny") == 0
    return project / "data/raw/boxes"


@pytest.mark.parametrize("part", ["", "images", "link", "photos of it"])
def test_a_scene_is_not_replaced_by_a_part_of_itself(
    boxes: Path, tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = boxes / part
    if part == "link":
        source = tmp_path / "link"
        source.symlink_to(boxes / "images")
    elif part:
        source = tmp_path / "source"
        source.mkdir()
        for path in (boxes / "images").iterdir():
            (source / path.name).symlink_to(path)
    before = read_folder(boxes)
    assert new_scene("boxes", source, "--replace", "--labels", "a, b") == 2
    assert "belongs to the scene itself" in capsys.readouterr().err
    assert read_folder(boxes) == before


def test_a_scene_that_is_a_link_is_replaced_and_what_it_led_to_stays(
    boxes: Path, scene_folder: Path, tmp_path: Path
) -> None:
    boxes.rename(tmp_path / "elsewhere")
    boxes.symlink_to(tmp_path / "elsewhere")
    before = read_folder(tmp_path / "elsewhere")
    assert new_scene("boxes", scene_folder / "images", "--replace", "--labels", "a, b") == 0
    assert read_folder(tmp_path / "elsewhere") == before
    assert not boxes.is_symlink()


def test_links_into_a_cache_of_hard_links_become_copies(
    project: Path, scene_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dvc = (sys.executable, "-m", "dvc")
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], check=True)
    photo = next((scene_folder / "images").iterdir())
    words = (scene_folder / "images", "--labels", "a, b", "--link")
    assert new_scene("plain", *words) == 0
    assert photo.samefile(project / "data/raw/plain/images" / photo.name)
    assert "--link" not in capsys.readouterr().out
    subprocess.run([*dvc, "config", "cache.type", "reflink,hardlink"], check=True)
    assert new_scene("careful", *words) == 0
    assert not photo.samefile(project / "data/raw/careful/images" / photo.name)
    assert "--link: copied all the same; DVC's cache.type is hardlink" in capsys.readouterr().out
