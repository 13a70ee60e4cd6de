"""Which files of a folder are photos, and what is said of the others."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.intake.photo_files import describe_folders, describe_others, list_photos, read_header


def test_folder_without_photos_says_what_it_expects(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden.jpg").write_text("")
    with pytest.raises(SceneError, match=r"no photos in it; expected .*\.heic"):
        list_photos(tmp_path)


def test_what_is_no_photo_is_told_by_kind(tmp_path: Path) -> None:
    Image.new("RGB", (160, 120)).save(tmp_path / "a.jpg")
    Image.new("RGB", (160, 120)).save(tmp_path / "b.dng", "TIFF")
    Image.new("RGB", (80, 60)).save(tmp_path / "a_thumb.jpg")
    Image.new("RGB", (80, 60)).save(tmp_path / "a.THM", "JPEG")
    for name in ("a.xmp", "b.xmp", "clip.mov", "transforms.json", "._a.jpg", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    for name in ("c.jpg", "d.jpg"):
        (tmp_path / name).symlink_to("/nowhere/at/all.jpg")
    (tmp_path / "folder.jpg").mkdir()
    photos = list_photos(tmp_path)
    assert [path.name for path in photos] == ["a.jpg"]
    assert describe_others(tmp_path, photos) == (
        "2 .xmp, 1 thumbnails, 1 .dng (raw; develop them to JPEG), 2 links that lead nowhere, "
        "1 .mov"
    )


def test_photos_in_folders_below_are_told(tmp_path: Path) -> None:
    for name in ("a.jpg", "right/b.jpg", "right/c.png", ".hidden/d.jpg", "left/deeper/e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (160, 120)).save(tmp_path / name)
    assert describe_folders(tmp_path) == "2 photos in folder right"
    for number in range(6):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/a.jpg").touch()
    assert describe_folders(tmp_path).endswith("1 photos in folder 4, ...")


def test_photos_in_folders_below_are_found_out(tmp_path: Path) -> None:
    below = tmp_path / "DCIM/100CANON"
    below.mkdir(parents=True)
    Image.new("RGB", (160, 120)).save(below / "IMG_1.JPG")
    with pytest.raises(SceneError, match=r"in it; 1 photos in folder DCIM/100CANON: give that"):
        list_photos(tmp_path)


def test_a_raw_photo_under_another_name_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (160, 120)).save(tmp_path / "a.tif", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(SceneError, match=r"a\.tif: a raw photo \(DNG\)"):
        read_header(tmp_path / "a.tif")


def test_a_picture_that_is_too_large_is_told_in_plain_words(tmp_path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 1, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for chunk in (header, b"IDAT"):
        content += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SceneError, match=r"a\.png: has more than 178 megapixels; make the photos"):
        read_header(tmp_path / "a.png")
