"""Section `poses` of `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from ovs3d.sections import CameraModel, PositiveInt, Section, Share

Matching = Literal["auto", "exhaustive", "sequential"]


class PosesParams(Section):
    """Structure from motion with COLMAP."""

    camera_model: CameraModel
    matching: Matching
    """`auto`: all pairs of few photos; of many, neighbours and those that look alike."""
    max_features: PositiveInt
    """SIFT points per photo."""
    first_octave: Annotated[int, Field(ge=-1, le=2)]
    """Finest scale of SIFT: 0 is the photo, -1 twice its size."""
    max_image_size: PositiveInt
    """Pixels of the longer side that SIFT sees at most."""
    min_registered: Share
    """Share of the photos that must get a pose."""
    given: Literal["check", "trust"]
    """Poses that the scene brings along: compared with the photos, or taken as they are."""
