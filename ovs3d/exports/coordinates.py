"""The frame in which a scene is exported, and the similarity that leads to it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ovs3d.errors import PosesError, SceneError, did_you_mean
from ovs3d.exports.point_cloud import UNIT_FRAME
from ovs3d.poses.given_poses import FOLDER
from ovs3d.space.normalise import TRANSFORM_FILE, Array, Similarity

FRAMES = ("unit", "colmap", "original")
"""`original` is that of the poses which the scene came with; COLMAP's model of them keeps it."""

_UNIT = Similarity(1.0, np.eye(3), np.zeros(3))
_UP = np.array([0.0, -1.0, 0.0])
"""Of the unit scene, see `ovs3d.space.cameras`."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of coordinates.

    Attributes:
        name: one of `FRAMES`.
        from_unit: takes points of the unit scene to it.
    """

    name: str
    from_unit: Similarity

    @property
    def up(self) -> Array:
        """The direction `[3]` away from the ground, as far as the photos tell."""
        return np.asarray(self.from_unit.rotation @ _UP)

    def to_json(self) -> dict[str, Any]:
        """Return what is written beside coordinates: how to get back to the unit scene."""
        return {
            "name": self.name,
            "meaning": f"{self.name} = scale * rotation @ unit + translation",
            "scale": float(self.from_unit.scale),
            "rotation": self.from_unit.rotation.tolist(),
            "translation": self.from_unit.translation.tolist(),
        }

    def lines(self) -> tuple[str, ...]:
        """Say what coordinates are, for files that have no better place for it than a comment."""
        if self.name == "unit":
            return UNIT_FRAME
        similarity = self.to_json()
        numbers = " ".join(f"{similarity[key]}" for key in ("scale", "rotation", "translation"))
        return (
            f"coordinates of the frame {self.name}",
            f"point = scale * rotation @ point of the unit scene + translation: {numbers}",
        )


def find_frame(name: str | None, poses: Path, images: Path) -> Frame:
    """Return a frame of a scene.

    Args:
        name: one of `FRAMES`; None for the one in which the poses came: `original` if the scene
            brought them along, else `colmap`.
        poses: folder of stage poses.
        images: folder of the photos.

    Raises:
        PosesError: the transform of stage poses is missing or something else.
        SceneError: there is no such frame.
    """
    brought = (images / FOLDER).is_dir()
    name = name or ("original" if brought else "colmap")
    if name not in FRAMES:
        raise SceneError(f"--frame: '{name}' is no frame{did_you_mean(name, FRAMES)}")
    if name == "original" and not brought:
        raise SceneError(
            f"--frame original: {images.parent.name} brought no poses along, so it has no frame of "
            "its own; take colmap or unit"
        )
    if name == "unit":
        return Frame(name, _UNIT)
    file = poses / TRANSFORM_FILE
    try:
        unit_from_colmap = Similarity.from_json(json.loads(file.read_text()))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PosesError(f"{file}: no similarity in it ({error}); run stage poses again") from None
    return Frame(name, inverse(unit_from_colmap))


def inverse(similarity: Similarity) -> Similarity:
    """Return the map that leads back."""
    back, scale = similarity.rotation.T, 1 / similarity.scale
    return Similarity(scale, back, -scale * back @ similarity.translation)
