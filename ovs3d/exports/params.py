"""Section `render` of `params.yaml`."""

from ovs3d.sections import PositiveInt, Section


class RenderParams(Section):
    """Fly-through video, labelled point cloud, label maps."""

    downscale: PositiveInt
    """Frames of the video and label maps have the size of photo / this."""
    frames: PositiveInt
    """Frames of the fly-through video, at even distances on a closed path between the cameras."""
    fps: PositiveInt
    """Frames per second of the video."""
    points: PositiveInt
    """Upper bound of the points of the labelled cloud. Each is where a ray of a photo ends; rays
    that meet nothing give none."""
