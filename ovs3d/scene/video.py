"""Frames of a video that make good photos: spread evenly over time, each the sharpest around."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.progress import progress
from ovs3d.scene.sharpness import look

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")

_JPEG_QUALITY = 95
# Variance of the Laplacian below which a frame shows nothing at all: black, or fog.
_BLANK = 0.5


@dataclass(frozen=True)
class VideoReport:
    """How many frames a video has, and how many were taken."""

    frames: int
    taken: int


def extract_frames(video: Path, count: int, images: Path) -> VideoReport:
    """Write the sharpest frame of each of `count` equal stretches of a video as JPEG.

    The display matrix that phones write for upright videos is applied.

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
    if not times:
        return 0
    count = min(count, len(times))
    best: dict[int, tuple[float, int, Image.Image]] = {}
    taken = 0
    with progress("frames", len(times), "frames") as advance:
        for index, (time, frame) in enumerate(_frames(video)):
            stretch = (time - times[0]) * count // (times[-1] - times[0] + 1)
            sharpness = look(frame).sharpness
            if sharpness > max(_BLANK, best.get(stretch, (0.0,))[0]):
                taken += _save(best.pop(stretch - 1, None), images)
                best[stretch] = (sharpness, index, frame)
            advance()
    return taken + sum(_save(best[stretch], images) for stretch in sorted(best))


def _frames(video: Path) -> Iterator[tuple[int, Image.Image]]:
    with _open(video) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            if frame.pts is None:
                continue
            picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
            turns = round(frame.rotation / 90) % 4
            if turns:
                picture = Image.fromarray(np.rot90(np.asarray(picture), turns))
            yield frame.pts, picture


def _open(video: Path) -> InputContainer:
    container: InputContainer = av.open(str(video))
    if not container.streams.video:
        container.close()
        raise SceneError(f"{video}: no video in it, only sound or data")
    return container


def _save(choice: tuple[float, int, Image.Image] | None, images: Path) -> int:
    if choice is None:
        return 0
    _, index, frame = choice
    path = images / f"frame_{index:06d}.jpg"
    frame.save(path, quality=_JPEG_QUALITY, subsampling=0)
    return 1
