"""Section `render` of `params.yaml`."""

from ovs3d.sections import PositiveInt, Section


class RenderParams(Section):
    """Fly-through video, labelled point cloud, label maps."""

    downscale: PositiveInt
    frames: PositiveInt
    fps: PositiveInt
    points: PositiveInt
