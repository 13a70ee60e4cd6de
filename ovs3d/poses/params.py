"""Section `poses` of `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from ovs3d.sections import CameraModel, PositiveInt, Section, Share

Matching = Literal["auto", "exhaustive", "sequential"]


class PosesParams(Section):
    """Structure from motion with COLMAP."""

    camera_model: CameraModel
    """COLMAP's name of the lens model: one or two focal lengths and 0 (`PINHOLE`), 1, 2 (`RADIAL`)
    or 4 (`OPENCV`) coefficients of distortion. All photos share a camera, unless their EXIF tells
    of several, or of several focal lengths; given poses keep their own."""
    matching: Matching
    """Which pairs of photos are matched. `exhaustive`: all; `sequential`: each with those that
    follow it, for frames of a video; `auto`: all pairs of few photos, of many those that follow
    each other or look alike."""
    max_features: PositiveInt
    """Most SIFT points per photo."""
    first_octave: Annotated[int, Field(ge=-1, le=2)]
    """Finest scale at which SIFT looks for points: 0 is the photo, 1 half its size, -1 twice its
    size, which finds more points in three times the time."""
    max_image_size: PositiveInt
    """Pixels of the longer side above which photos are made smaller for SIFT. Cameras are in pixels
    of the whole photo all the same."""
    min_registered: Share
    """Share of the photos that must get a pose; with fewer, or fewer than two, the stage fails."""
    given: Literal["check", "trust"]
    """What becomes of poses that a scene brings along. `check`: they are compared with matches of
    the photos, and refused or put right if these contradict; `trust`: taken as they are."""
