"""A scene that is distilled, opened for a command."""

from pathlib import Path

from ovs3d.device import resolve_device
from ovs3d.distill.model import load_segmentation
from ovs3d.exports.write import SegmentedScene
from ovs3d.params import SceneParams
from ovs3d.project import RAW_FOLDER, built
from ovs3d.space.cameras import load_cameras


def open_segmented(name: str, params: SceneParams) -> SegmentedScene:
    """Read what stages poses and distill left of a scene.

    Raises:
        StoreError: one of them has not run yet, or its output is damaged.
        PosesError: the cameras are damaged.
    """
    device = resolve_device(params.device)
    cameras: Path = built("poses", name, "cameras.json")
    return SegmentedScene(
        name,
        load_segmentation(built("distill", name, "segmentation.safetensors"), device),
        load_cameras(cameras),
        RAW_FOLDER / name / "images",
        cameras.parent,
        device,
    )
