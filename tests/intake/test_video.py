"""Frames of a video: even in time, sharp, upright; broken videos told in one line."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ovs3d.errors import SceneError
from ovs3d.intake.video import extract_frames
from ovs3d.intake.video_colors import in_srgb, is_srgb
from ovs3d.photos.dataset import load_photo

WIDTH, HEIGHT = 160, 96


def picture(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)


def write_video(
    path: Path,
    frames: list[Image.Image],
    times: list[int] | None = None,
    aspect: Fraction = Fraction(1),
) -> None:
    """Encode frames; times are in 25ths of a second, one after the other if not given."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
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


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(2), (320, 96)), (Fraction(3, 4), (160, 128))]
)
def test_pixels_that_are_not_square_are_stretched(
    tmp_path: Path, aspect: Fraction, size: tuple[int, int]
) -> None:
    frames = [picture(index) for index in range(3)]
    write_video(tmp_path / "walk.mp4", frames, aspect=aspect)
    extract_frames(tmp_path / "walk.mp4", 1, tmp_path / "images")
    (name,) = names(tmp_path / "images")
    found = pixels(tmp_path / "images" / name)
    assert found.shape == (size[1], size[0], 3)
    shown = frames[int(name[-10:-4])].resize(size, Image.Resampling.BICUBIC)
    assert np.abs(found - np.asarray(shown, dtype=float)).mean() < 14


def srgb_light(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def hlg_signal(light: float) -> float:
    """Return the signal of a share of reference white (ITU-R BT.2100, BT.2408)."""
    share = 0.265 * light
    if share <= 1 / 12:
        return float(np.sqrt(3 * share))
    return float(0.17883277 * np.log(12 * share - 0.28466892) + 0.55991073)


def pq_signal(light: float) -> float:
    power = (light * 203 / 10000) ** (2610 / 16384)
    return float(((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


@pytest.mark.parametrize(("transfer", "signal"), [(18, hlg_signal), (16, pq_signal)])
@pytest.mark.parametrize("value", [0, 20, 113, 200, 255])
def test_greys_of_hdr_become_those_of_a_photo(transfer: int, signal: object, value: int) -> None:
    assert callable(signal)
    coded = np.full((1, 1, 3), round(65535 * signal(srgb_light(value / 255))), dtype=np.uint16)
    for primaries in (1, 9, 12):
        found = in_srgb(coded, transfer, primaries)
        assert np.abs(found.astype(int) - value).max() <= 1


def test_reference_white_and_all_above_it_is_white() -> None:
    for transfer, white in ((18, 0.75), (16, 0.5807)):
        for signal in (white, 1.0):
            coded = np.full((1, 1, 3), round(65535 * signal), dtype=np.uint16)
            assert in_srgb(coded, transfer, 9).min() >= 254


def test_wide_gamut_keeps_the_colours_of_a_photo() -> None:
    """Red of BT.709, as BT.2020 writes it."""
    light = np.array([0.6274, 0.0691, 0.0164])
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    found = in_srgb((coded * 65535).round().astype(np.uint16)[None, None], 14, 9)
    assert found[0, 0].tolist() == pytest.approx([255, 0, 0], abs=2)


def test_ordinary_colours_stay_as_they_are() -> None:
    assert is_srgb(1, 1)
    assert is_srgb(2, 2)
    assert not is_srgb(18, 9)
    assert not is_srgb(16, 1)
    assert not is_srgb(1, 12)
