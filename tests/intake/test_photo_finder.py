"""Photos are found by whatever names a `transforms.json` or a model has for them."""

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.intake import formats
from tests.intake.formats import Truth
from tests.intake.importing import Edit, check_poses, edited, find_poses, import_scene, moved


def renamed(change: Callable[[str], str]) -> Edit:
    """Call photos something else in `transforms.json`."""

    def rename(content: dict[str, Any]) -> None:
        for frame in content["frames"]:
            frame["file_path"] = change(Path(frame["file_path"]).name)

    return edited(rename)


def with_accents(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.rename(path.with_name(unicodedata.normalize("NFD", f"Küche {path.name}")))
    renamed(lambda name: f"images/{unicodedata.normalize('NFC', f'Küche {name}')}")(folder)


def escaped(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.rename(path.with_name(f"a b {path.name}"))
    renamed(lambda name: f"./images/a%20b%20{name}")(folder)


def with_namesakes(folder: Path) -> None:
    """Put smaller photos and masks of the same names beside the photos."""
    renamed(lambda name: f"/home/me/images/{name}")(folder)
    for other in ("images_2", "masks", "depth"):
        shutil.copytree(folder / "images", folder / other)
        for path in (folder / other).iterdir():
            Image.new("RGB", (80, 60)).save(path)


def in_root(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.rename(folder / path.name)
    (folder / "images").rmdir()


NAMES: dict[str, Edit] = {
    "upper case": renamed(lambda name: f"images/{name.upper()}"),
    "folder in upper case": renamed(lambda name: f"Images/{name}"),
    "without suffix": renamed(lambda name: f"./images/{Path(name).stem}"),
    "backslashes": renamed(lambda name: f".\\images\\{name}"),
    "Windows": renamed(lambda name: f"C:\\Users\\me\\scene\\images\\{name}"),
    "absolute": renamed(lambda name: f"/home/me/scene/images/{name}"),
    "other folder": renamed(lambda name: f"../data/garden/images/{name}"),
    "no folder": renamed(lambda name: name),
    "other type": renamed(lambda name: f"images/{Path(name).stem}.jpg"),
    "accents": with_accents,
    "URL": escaped,
    "namesakes": with_namesakes,
    "photos deeper": moved("data/images"),
    "photos in root": in_root,
}


@pytest.mark.parametrize("kind", NAMES)
def test_photos_are_found_by_whatever_name(plain: Truth, tmp_path: Path, kind: str) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    NAMES[kind](tmp_path / "source")
    check_poses(tmp_path / "source", plain)


def test_a_photo_that_was_deleted_has_no_namesake(plain: Truth, tmp_path: Path) -> None:
    formats.write_nerfstudio(plain, tmp_path / "source")
    with_namesakes(tmp_path / "source")
    (tmp_path / "source/images/003.png").unlink()
    check_poses(tmp_path / "source", plain, missing=(3,))


@pytest.mark.parametrize("writer", [formats.write_nerfstudio, formats.write_colmap_text])
def test_photos_that_were_deleted_are_counted(
    project: Path,
    plain: Truth,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    writer: Callable[[Truth, Path], None],
) -> None:
    writer(plain, tmp_path / "source")
    for name in ("002.png", "006.png"):
        (tmp_path / "source/images" / name).unlink()
    assert import_scene(tmp_path / "source") == 0
    assert "left out (no such photo)" in (told := capsys.readouterr().out)
    assert "2: " in told
    report, cameras, _ = find_poses(project)
    assert report.missing == ()
    assert cameras.names == tuple(n for n in plain.names if n not in ("002.png", "006.png"))
