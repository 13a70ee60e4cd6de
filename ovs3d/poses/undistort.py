"""Photos of lenses that the project's camera cannot express, fisheyes above all, redrawn by one."""

from copy import copy
from dataclasses import dataclass

import numpy as np
import pycolmap
import torch
from PIL import Image
from torch.nn.functional import grid_sample

from ovs3d.errors import PosesError
from ovs3d.space.normalise import Array

# The picture is magnified until it has no blank border, by so much at most, in so many steps.
_MAX_ZOOM = 4.0
_ZOOM_STEPS = 61


@dataclass(frozen=True, eq=False)
class Undistortion:
    """From a lens to a pinhole camera of the same picture size.

    Attributes:
        lens: COLMAP camera of the photo as taken.
        pinhole: fx, fy, cx, cy of the photo redrawn.
    """

    lens: pycolmap.Camera
    pinhole: tuple[float, float, float, float]

    def redraw(self, photo: Image.Image, band: int = 64) -> Image.Image:
        """Redraw a photo, bilinearly; a mask (mode L) by its nearest pixels.

        Args:
            photo: as taken, RGB or L.
            band: rows that are drawn at once; changes nothing but the memory it takes, which is
                many times that of the pixels.
        """
        width, height = photo.size
        stored = np.atleast_3d(np.asarray(photo))
        pixels = torch.from_numpy(stored.astype(np.float64)).permute(2, 0, 1)[None]
        result = np.empty_like(stored)
        for top in range(0, height, band):
            rows = np.arange(top, min(top + band, height))
            x, y = np.meshgrid(np.arange(width) + 0.5, rows + 0.5)
            source = self._source(np.stack([x.ravel(), y.ravel()], axis=1))
            grid = torch.from_numpy(source / [width, height] * 2 - 1)
            drawn = grid_sample(
                pixels,
                grid.reshape(1, len(rows), width, 2),
                mode="nearest" if photo.mode == "L" else "bilinear",
                padding_mode="border",
                align_corners=False,
            )
            result[rows] = drawn[0].permute(1, 2, 0).round().to(torch.uint8).numpy()
        return Image.fromarray(result.squeeze(axis=2) if photo.mode == "L" else result)

    def move(self, xy: Array) -> Array:
        """Map points `[N, 2]` of the photo as taken to the photo redrawn."""
        moved: Array = self.lens.cam_from_img(xy) * self.pinhole[:2] + self.pinhole[2:]
        return moved

    def _source(self, xy: Array) -> Array:
        """Map points `[N, 2]` of the photo redrawn to the photo as taken."""
        plane = (xy - self.pinhole[2:]) / self.pinhole[:2]
        rays = np.concatenate([plane, np.ones((len(xy), 1))], axis=1)
        found: Array = self.lens.img_from_cam(rays)
        return found


def undistort(camera: pycolmap.Camera, where: str) -> Undistortion:
    """Find the pinhole camera that shows as much as possible of a lens's photo, no border blank.

    Args:
        camera: any perspective or fisheye model of COLMAP; becomes the pinhole camera.
        where: what a message calls it.

    Raises:
        PosesError: the camera sees in all directions, or its parameters make no sense.
    """
    if camera.is_spherical():
        raise PosesError(
            f"{where}: camera model {camera.model_name} is not supported; cut perspective views "
            "out of it first"
        )
    lens = copy(camera)
    width, height = camera.width, camera.height
    focal = (lens.focal_length_x, lens.focal_length_y)
    centre = (lens.principal_point_x, lens.principal_point_y)
    for zoom in np.geomspace(1, _MAX_ZOOM, _ZOOM_STEPS).tolist():
        found = Undistortion(lens, (focal[0] * zoom, focal[1] * zoom, *centre))
        source = found._source(_border(width, height))
        if (source >= 0).all() and (source <= (width, height)).all():
            camera.model = pycolmap.CameraModelId.PINHOLE
            camera.params = list(found.pinhole)
            return found
    raise PosesError(f"{where}: the distortion makes no sense ({camera.params_to_string()})")


def _border(width: int, height: int) -> Array:
    """Return points `[N, 2]` on the four sides of a photo."""
    steps = np.linspace(0, 1, 65)
    sides = [(steps, 0 * steps), (steps, 0 * steps + 1), (0 * steps, steps), (0 * steps + 1, steps)]
    return np.concatenate([np.stack([x * width, y * height], axis=1) for x, y in sides])
