"""Photos beside poses: turned, mirrored and HEIC ones keep what their poses mean."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image

from ovs3d.photos.dataset import load_photo
from tests.intake import formats
from tests.intake.formats import WRITERS, Truth
from tests.intake.importing import find_poses, import_scene


@pytest.mark.parametrize(
    ("tag", "stored"),
    [(2, np.asarray), (3, np.asarray), (5, lambda shown: np.swapaxes(shown, 0, 1)), (6, np.rot90)],
    ids=["mirrored as stored", "turned as stored", "mirrored as shown", "turned as shown"],
)
def test_turned_photos_keep_the_turn_in_which_they_were_posed(
    project: Path,
    plain: Truth,
    tmp_path: Path,
    tag: int,
    stored: Callable[[np.ndarray], np.ndarray],
) -> None:
    """COLMAP poses what is stored; sizes that only fit what is shown say otherwise."""
    formats.write_llff(plain, tmp_path / "source")
    exif = Image.Exif()
    exif[0x0112] = tag
    for path in (tmp_path / "source/images").iterdir():
        with Image.open(path) as file:
            pixels = np.ascontiguousarray(stored(np.asarray(file)))
        Image.fromarray(pixels).save(path, exif=exif)
    assert import_scene(tmp_path / "source") == 0
    for name in plain.names:
        found = load_photo(project / "data/raw/scene/images" / name, 1)
        assert (found == load_photo(plain.images / name, 1)).all()


@pytest.mark.parametrize("name", ["nerfstudio", "llff"])
def test_posed_heic_photos_become_jpegs_with_their_poses(
    project: Path, plain: Truth, tmp_path: Path, name: str
) -> None:
    WRITERS[name](plain, tmp_path / "source")
    for path in (tmp_path / "source/images").iterdir():
        with Image.open(path) as file:
            pillow_heif.from_pillow(file).save(path.with_suffix(".heic"), quality=95)
        path.unlink()
    if name == "nerfstudio":
        text = (tmp_path / "source/transforms.json").read_text()
        (tmp_path / "source/transforms.json").write_text(text.replace(".png", ".heic"))
    assert import_scene(tmp_path / "source") == 0
    _, cameras, unit = find_poses(project)
    assert cameras.names == tuple(f"{Path(name).stem}.jpg" for name in plain.names)
    found, _ = cameras.project(4, torch.from_numpy(unit(plain.points)))
    assert np.abs(found.numpy() - plain.project(4)[0]).max() < 1e-3


@pytest.mark.usefixtures("project")
def test_posed_photos_of_another_type_are_named_before_any_is_brought(
    plain: Truth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    formats.write_colmap_text(plain, tmp_path / "source")
    path = tmp_path / "source/sparse/0/images.txt"
    path.write_text(path.read_text().replace(".png", ".gif"))
    for photo in (tmp_path / "source/images").iterdir():
        photo.rename(photo.with_suffix(".gif"))
    assert import_scene(tmp_path / "source") == 2
    error = capsys.readouterr().err
    assert "000.gif: 9 posed photos are of another type than .jpg .jpeg .png" in error
    assert "photos/s" not in error
