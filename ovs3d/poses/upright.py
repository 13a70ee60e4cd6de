"""Photos that lie on their side, found by their poses.

Who walks around with a level camera keeps one axis of the picture level: that which runs right, or,
where the phone was turned and no EXIF says so, that which runs down. Encoders know an upright
world.
"""

import json
from pathlib import Path

import numpy as np

from ovs3d.space.normalise import Array

UPRIGHT_FILE = "upright.json"
"""In the folder of stage poses: the turn alone, as it is all that features need of poses."""
_CLEARER = 2.0
"""How much more level the axis down is than the axis right where photos lie on their side.
Measured: 3.2 on a capture of that kind; at most 0.9 on 18 upright ones."""
_STEEP = 0.5
"""What the axis right must have of the vertical, mean over photos; none where all look down."""


def turn_to_upright(world_from_camera: Array) -> int:
    """Tell by how many degrees clockwise photos have to be turned to stand upright.

    The axes of all photos lie in one plane if they are level; what is left across it is compared.
    That photos were taken from above rather than from below tells the two sides apart.

    Args:
        world_from_camera: `[V, 3, 4]`, any frame; camera axes: x right, y down, z forward.

    Returns:
        0, 90 or 270, the same for all photos. Photos upside down are not told from upright ones.
    """
    right, down, forward = np.moveaxis(world_from_camera[:, :, :3], 2, 0)
    across_right = np.linalg.svd(right, compute_uv=False)[-1]
    _, spread, axes = np.linalg.svd(down, full_matrices=False)
    if across_right <= _CLEARER * spread[-1]:
        return 0
    vertical = axes[-1]
    up = -np.sign((forward @ vertical).mean()) * vertical
    rise = (right @ up).mean()
    if abs(rise) < _STEEP:
        return 0
    return 90 if rise < 0 else 270


def read_turn(poses: Path) -> int:
    """Return what `turn_to_upright` said of the poses in a folder of stage poses."""
    turn: int = json.loads((poses / UPRIGHT_FILE).read_text())["turn"]
    return turn
