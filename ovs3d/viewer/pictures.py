"""Pictures of a scene: at once from its splats, or slowly, row by row, from the field itself."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ovs3d.field.render import MIN_OPACITY
from ovs3d.photos.dataset import NO_LABEL, load_photo
from ovs3d.space.cameras import Cameras
from ovs3d.viewer.camera import Pinhole
from ovs3d.viewer.paint import Look, Pieces, paint, paint_depth
from ovs3d.viewer.raster import Buffers, rasterise
from ovs3d.viewer.scene import OpenScene, Surface
from ovs3d.viewer.surface import RAYS_PER_CHUNK, Source, look

Picture = NDArray[np.uint8]
"""uint8 [h, w, 3]."""


def draw(surface: Surface, hidden: frozenset[int], camera: Pinhole) -> Buffers:
    """Draw the splats of a surface but for those of some labels."""
    splats, visible = surface.splats, ~np.isin(surface.pieces.labels, list(hidden))
    return rasterise(splats.positions, splats.radii, visible, camera)


def splat_picture(scene: OpenScene, how: Look, camera: Pinhole) -> Picture:
    """Draw a scene from its splats."""
    surface = scene.surface
    buffers = draw(surface, how.hidden, camera)
    if how.layer == "depth":
        return paint_depth(buffers.depth, scene.cameras.near, scene.cameras.far)
    colors = paint(surface.pieces, how, len(scene.labels))
    # One number per pixel is gathered four times as fast as three.
    table = np.zeros((len(colors) + 1, 4), dtype=np.uint8)
    table[:-1, :3] = colors
    packed = table.view(np.uint32)[:, 0]
    # Where there is no splat the index is -1: the last entry, black.
    return packed[buffers.splat].view(np.uint8).reshape(*buffers.splat.shape, 4)[:, :, :3]


class Refinement:
    """A picture from the field, as far as it is.

    Attributes:
        camera: who looks.
        rows: so many rows are done, from the top.
    """

    def __init__(self, scene: OpenScene, camera: Pinhole) -> None:
        self.camera = camera
        self._scene = scene
        self.rows = 0
        pixels = camera.width * camera.height
        self._pieces = Pieces(
            np.zeros((pixels, 3), dtype=np.uint8),
            np.full(pixels, NO_LABEL, dtype=np.uint8),
            np.full(pixels, -1, dtype=np.int64),
        )
        self._depth = np.zeros(pixels, dtype=np.float32)

    @property
    def done(self) -> bool:
        """Whether all rows are there."""
        return self.rows == self.camera.height

    def fits(self, scene: OpenScene, camera: Pinhole) -> bool:
        """Tell whether it is the picture that a camera takes of a scene."""
        return scene is self._scene and camera.same_picture(self.camera)

    def advance(self, source: Source) -> None:
        """Follow the rays of a few more rows through the field of the scene."""
        scene = self._scene
        last = min(self.rows + max(1, RAYS_PER_CHUNK // self.camera.width), self.camera.height)
        origins, directions = self.camera.rays(self.rows, last)
        with scene.lock:
            seen = look(source, origins, directions)
        part = slice(self.rows * self.camera.width, last * self.camera.width)
        self._pieces.colors[part] = (seen.color * 255).round().to(torch.uint8).numpy()
        hit = seen.opacity >= MIN_OPACITY
        if scene.labels:
            self._pieces.labels[part] = torch.where(hit, seen.logits.argmax(1), NO_LABEL).numpy()
        rows = scene.rows(origins + seen.depth[:, None] * directions)
        self._pieces.rows[part] = np.where(hit.numpy(), rows, -1)
        self._depth[part] = torch.where(hit, seen.depth, 0.0).numpy()
        self.rows = last

    def over(self, picture: Picture, how: Look) -> Picture:
        """Return a picture [h, w, 3] of the same camera with the rows that are done in place."""
        scene = self._scene
        part = slice(0, self.rows * self.camera.width)
        if how.layer == "depth":
            done = paint_depth(self._depth[part], scene.cameras.near, scene.cameras.far)
        else:
            pieces = self._pieces
            done_pieces = Pieces(pieces.colors[part], pieces.labels[part], pieces.rows[part])
            done = paint(done_pieces, how, len(scene.labels))
        rest = picture[self.rows :]
        return np.concatenate([done.reshape(self.rows, self.camera.width, 3), rest])


@dataclass(frozen=True, eq=False)
class WarpedPhoto:
    """A photo as a camera close to its own would have taken it.

    Attributes:
        picture: uint8 [h, w, 3].
        inside: bool [h, w], where the photo has something to show.
    """

    picture: Picture
    inside: NDArray[np.bool_]

    def wiped(self, picture: Picture, share: float) -> Picture:
        """Lay the left part of the photo, a share in [0, 1] of the width, over a picture."""
        columns = np.arange(picture.shape[1]) < share * picture.shape[1]
        return np.where((self.inside & columns)[:, :, None], self.picture, picture)


def warp_photo(scene: OpenScene, view: int, camera: Pinhole) -> WarpedPhoto | None:
    """Draw a photo for a camera that stands where it was taken; None if there are no photos.

    Raises:
        SceneError: the photo cannot be decoded.
    """
    if scene.photos is None:
        return None
    cameras: Cameras = scene.cameras
    photo = load_photo(scene.photos.paths[view], 1).numpy()
    origins, directions = camera.rays()
    xy, depth = cameras.project(view, origins + directions)
    column, row = (xy.nan_to_num(-1).floor().long().clamp(-1, 1 << 20).numpy()).T
    inside = (depth.numpy() > 0) & (column >= 0) & (row >= 0)
    inside &= (column < photo.shape[1]) & (row < photo.shape[0])
    picture = np.zeros((len(row), 3), dtype=np.uint8)
    picture[inside] = photo[row[inside], column[inside]]
    shape = camera.height, camera.width
    return WarpedPhoto(picture.reshape(*shape, 3), inside.reshape(shape))
