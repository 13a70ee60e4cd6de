"""A smooth closed camera path through where the photos were taken, and the video along it."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import torch
from av.container import OutputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from ovs3d.files import atomic_path
from ovs3d.space.cameras import Cameras

_REACH = 0.8
"""Radius of the loop relative to how far the cameras reach; nearer in they see better."""
_REACH_PERCENTILE = 90
_BANDWIDTH = 0.35
"""Width of the average over cameras relative to the size of the loop: about their spacing."""
_STEPS = 720
# Same pictures, same bytes. Bit-exact: no dates, no library versions. One thread: the bytes depend
# on their number. No macroblock tree: x264's vector code for it reads memory that was never set;
# most runs on frames narrower than 600 pixels differed.
_ENCODER = {
    "preset": "medium",
    "crf": "20",
    "threads": "1",
    "flags": "+bitexact",
    "x264-params": "mbtree=0",
}
_CONTAINER = {"fflags": "+bitexact", "movflags": "+faststart"}


def fly_through(cameras: Cameras, frames: int) -> Cameras:
    """Make cameras along a closed loop, at even distances, that stays among the given ones.

    An ellipse in the plane in which the cameras spread most is pulled to where they are: each of
    its points becomes an average of the cameras' poses, weighted by a Gaussian of their distance.

    Args:
        cameras: the registered cameras to fly between.
        frames: number of cameras to make.
    """
    poses = cameras.world_from_camera.cpu().numpy()
    centres = poses[:, :, 3]
    ellipse, radius = _ellipse(centres)
    distances = np.linalg.norm(ellipse[:, None] - centres[None], axis=-1)
    width = max(_BANDWIDTH * radius, 1e-9)
    exponents = -0.5 * (distances / width) ** 2
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    path = np.einsum("tv,vij->tij", weights, poses)[_even_steps(weights @ centres, frames)]
    path[:, :, :3] = _nearest_rotations(path[:, :, :3])
    return path_cameras(cameras, path)


def path_cameras(cameras: Cameras, poses: NDArray[np.float64]) -> Cameras:
    """Make cameras at given poses.

    Args:
        cameras: of the photos.
        poses: world from camera, [N, 3, 4].

    Returns:
        Cameras with views 0 to N - 1, the mean intrinsics of the photos, no distortion, and the
        bounds of the photos.
    """
    count = len(poses)
    intrinsics = cameras.intrinsics.mean(dim=0, keepdim=True).expand(count, -1)
    return replace(
        cameras,
        views=tuple(range(count)),
        names=tuple(f"frame {frame}" for frame in range(count)),
        intrinsics=intrinsics,
        distortion=torch.zeros_like(intrinsics),
        world_from_camera=torch.from_numpy(np.ascontiguousarray(poses)),
    )


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], fps: int) -> None:
    """Encode pictures as H.264 in MP4; same pictures, same bytes.

    Args:
        path: the file to write.
        frames: pictures [h, w, 3] of one size, at least one.
        fps: frames per second.
    """
    with atomic_path(path) as temporary, _open_mp4(temporary) as container:
        stream = None
        for picture in frames:
            picture = _even_sides(picture)
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options=_ENCODER)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode(None))


def _open_mp4(path: Path) -> OutputContainer:
    container: OutputContainer = av.open(path, "w", format="mp4", options=_CONTAINER)
    return container


def _ellipse(centres: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return points [T, 3] of an ellipse along the two widest axes of `centres`, and its size."""
    mean = centres.mean(axis=0)
    axes = np.linalg.svd(centres - mean, full_matrices=True)[2][:2]
    # The sign of a singular vector is arbitrary; fix the sense of rotation.
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
    reach = np.abs((centres - mean) @ axes.T)
    radii = _REACH * np.percentile(reach, _REACH_PERCENTILE, axis=0)
    angles = np.linspace(0.0, 2 * np.pi, _STEPS, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return mean + (circle * radii) @ axes, float(np.linalg.norm(radii))


def _even_steps(points: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Choose `count` points of a closed curve [T, 3] that are about equally far apart."""
    lengths = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(lengths)])
    if travelled[-1] == 0:
        return np.zeros(count, dtype=np.intp)
    targets = np.arange(count) * travelled[-1] / count
    return np.asarray(np.searchsorted(travelled, targets, side="right") - 1)


def _nearest_rotations(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project averages of rotations [N, 3, 3] back to rotations."""
    left, _, right = np.linalg.svd(matrices)
    flips = np.ones(left.shape[:2])
    flips[:, 2] = np.linalg.det(left @ right)
    rotations: NDArray[np.float64] = (left * flips[:, None]) @ right
    return rotations


def _even_sides(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row or column where a side is odd; 4:2:0 colour needs even sides."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
