"""Frames of a video: even in time, sharp, upright; broken videos told in one line."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ovs3d.errors import SceneError
from ovs3d.scene.dataset import load_photo
from ovs3d.scene.video import extract_frames

WIDTH, HEIGHT = 160, 96


def picture(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)


def write_video(path: Path, frames: list[Image.Image], times: list[int] | None = None) -> None:
    """Encode frames; times are in 25ths of a second, one after the other if not given."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
        for index, frame in enumerate(frames):
            encoded = av.VideoFrame.from_ndarray(np.asarray(frame), format="rgb24")
            encoded.pts = times[index] if times else index
            container.mux(stream.encode(encoded))
        container.mux(stream.encode(None))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pixels(path: Path) -> NDArray[np.float64]:
    return load_photo(path, 1).numpy().astype(np.float64)


def test_the_sharpest_frame_of_each_stretch_is_taken(tmp_path: Path) -> None:
    frames = [picture(index).filter(ImageFilter.GaussianBlur(4)) for index in range(12)]
    for index in (1, 5, 6, 10):
        frames[index] = picture(index)
    write_video(tmp_path / "walk.mp4", frames)
    report = extract_frames(tmp_path / "walk.mp4", 4, tmp_path / "images")
    assert (report.frames, report.taken) == (12, 4)
    assert names(tmp_path / "images") == [f"frame_{index:06d}.jpg" for index in (1, 5, 6, 10)]
    found = pixels(tmp_path / "images" / "frame_000005.jpg")
    assert np.abs(found - np.asarray(frames[5], dtype=np.float64)).mean() < 12


def test_stretches_are_equal_in_time_not_in_frames(tmp_path: Path) -> None:
    """Ten frames in the first second, then two in the next: one stretch each."""
    times = [*range(0, 20, 2), 30, 39]
    write_video(tmp_path / "walk.mkv", [picture(index) for index in range(12)], times)
    extract_frames(tmp_path / "walk.mkv", 2, tmp_path / "images")
    first, second = names(tmp_path / "images")
    assert first < "frame_000010.jpg" <= second


def test_blank_frames_are_left_out(tmp_path: Path) -> None:
    black = Image.new("RGB", (WIDTH, HEIGHT))
    write_video(tmp_path / "walk.mp4", [black] * 4 + [picture(1)] * 4)
    assert extract_frames(tmp_path / "walk.mp4", 4, tmp_path / "images").taken == 2


def test_a_video_that_is_blank_throughout_has_no_usable_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "dark.mp4", [Image.new("RGB", (WIDTH, HEIGHT))] * 3)
    with pytest.raises(SceneError, match=r"dark\.mp4: no usable frame in it \(3 frames"):
        extract_frames(tmp_path / "dark.mp4", 4, tmp_path / "images")


def test_the_turn_that_a_phone_notes_is_applied(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", [picture(index) for index in range(3)])
    content = bytearray((tmp_path / "walk.mp4").read_bytes())
    # Track header: 4 bytes of size, 'tkhd', then at 44 the matrix a b u c d v x y w (16.16).
    start = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    matrix = [0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30]
    content[start : start + 36] = b"".join(
        value.to_bytes(4, "big", signed=True) for value in matrix
    )
    (tmp_path / "turned.mp4").write_bytes(content)
    extract_frames(tmp_path / "turned.mp4", 3, tmp_path / "images")
    found = pixels(tmp_path / "images" / "frame_000001.jpg")
    # That matrix turns clockwise: what is stored at the left comes to the top.
    expected = np.rot90(np.asarray(picture(1), dtype=np.float64), -1)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 12


@pytest.mark.parametrize(
    "content", [b"", b"no video at all", b"\x00\x00\x00\x18ftypmp42" + bytes(100)], ids=repr
)
def test_broken_video_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "walk.mp4").write_bytes(content)
    with pytest.raises(SceneError, match=r"walk\.mp4: cannot be read as a video") as raised:
        extract_frames(tmp_path / "walk.mp4", 4, tmp_path / "images")
    assert "\n" not in str(raised.value)


def test_sound_without_pictures_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SceneError, match="no video in it"):
        extract_frames(tmp_path / "song.mkv", 4, tmp_path / "images")
