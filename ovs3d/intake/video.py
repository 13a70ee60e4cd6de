"""Frames of a video that make good photos: spread evenly over time, each the sharpest around."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray
from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.intake.video_colors import in_srgb, is_srgb
from ovs3d.photos.picture_files import JPEG
from ovs3d.photos.sharpness import look
from ovs3d.progress import progress

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")

# Variance of the Laplacian below which a frame shows nothing at all: black, or fog.
_BLANK = 0.5


@dataclass(frozen=True)
class VideoReport:
    """How many frames a video has, and how many were taken."""

    frames: int
    taken: int


def extract_frames(video: Path, count: int, images: Path) -> VideoReport:
    """Write the sharpest frame of each of `count` equal stretches of a video as JPEG.

    What players apply is applied: the display matrix that phones write for upright videos, the
    shape of pixels that are not square, and the colours of HDR and wide-gamut videos.

    Args:
        video: a file that FFmpeg reads.
        count: frames to take at most; a stretch without a usable frame gives none.
        images: folder to make; gets `frame_<index in the video>.jpg`.

    Raises:
        SceneError: the file is no video, broken, or has no usable frame.
    """
    if not video.is_file():
        raise SceneError(f"{video}: no video file")
    images.mkdir(parents=True)
    try:
        times = _frame_times(video)
        taken = _write_sharpest(video, times, count, images)
    except av.FFmpegError as error:
        raise SceneError(f"{video}: cannot be read as a video ({error.strerror})") from None
    if not taken:
        raise SceneError(f"{video}: no usable frame in it ({len(times)} frames, all blank)")
    return VideoReport(len(times), taken)


def _frame_times(video: Path) -> list[int]:
    """Read when each frame is shown; containers lie about their length."""
    with _open(video) as container:
        packets = container.demux(container.streams.video[0])
        return sorted(packet.pts for packet in packets if packet.pts is not None)


def _write_sharpest(video: Path, times: list[int], count: int, images: Path) -> int:
    """Save the best frame of each stretch as soon as the next stretch has one; count them."""
    if not times:
        return 0
    count = min(count, len(times))
    best: dict[int, tuple[float, int, av.VideoFrame]] = {}
    taken = 0
    with progress("frames", len(times), "frames") as advance, _open(video) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        aspect = float(stream.sample_aspect_ratio or 1)
        shown = ((f.pts, f) for f in container.decode(stream) if f.pts is not None)
        for index, (time, frame) in enumerate(shown):
            stretch = (time - times[0]) * count // (times[-1] - times[0] + 1)
            sharpness = look(Image.fromarray(frame.to_ndarray(format="rgb24"))).sharpness
            if sharpness > max(_BLANK, best.get(stretch, (0.0,))[0]):
                taken += _save(best.pop(stretch - 1, None), aspect, images)
                best[stretch] = (sharpness, index, frame)
            advance()
    return taken + sum(_save(best[stretch], aspect, images) for stretch in sorted(best))


def _picture(frame: av.VideoFrame, aspect: float) -> Image.Image:
    """Return what a player shows of a frame; `aspect` is the width of a pixel by its height."""
    pixels: NDArray[np.uint8]
    if is_srgb(frame.color_trc, frame.color_primaries):
        pixels = frame.to_ndarray(format="rgb24")
    else:
        deep = frame.to_ndarray(format="rgb48le")
        pixels = in_srgb(deep, frame.color_trc, frame.color_primaries)
    picture = Image.fromarray(pixels)
    if aspect != 1:
        width, height = max(1.0, aspect), max(1.0, 1 / aspect)
        size = (round(picture.width * width), round(picture.height * height))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    turns = round(frame.rotation / 90) % 4
    return Image.fromarray(np.rot90(np.asarray(picture), turns)) if turns else picture


def _open(video: Path) -> InputContainer:
    container: InputContainer = av.open(str(video))
    if not container.streams.video:
        container.close()
        raise SceneError(f"{video}: no video in it, only sound or data")
    return container


def _save(choice: tuple[float, int, av.VideoFrame] | None, aspect: float, images: Path) -> int:
    if choice is None:
        return 0
    _, index, frame = choice
    path = images / f"frame_{index:06d}.jpg"
    _picture(frame, aspect).save(path, **JPEG)
    return 1
