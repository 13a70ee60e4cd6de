"""What the sections of `params.yaml` are made of.

Each section stands beside the code that reads it; `ovs3d.params` puts them together.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Ranks = tuple[PositiveInt, PositiveInt, PositiveInt]
Device = Literal["auto", "cpu", "cuda"]
Split = Literal["held_out", "paper"]
CameraModel = Literal["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"]
"""COLMAP's names of the camera models that can be turned into rays, whatever their parameters."""
Shading = Literal["sample", "ray"]


class Section(BaseModel):
    """Base of all sections: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def override(preset: Mapping[str, Any], scene: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section of a preset with the values of a scene in place of its own.

    Sections within sections are merged key by key; everything else, lists too, is replaced whole.
    """
    merged = dict(preset)
    for key, value in scene.items():
        nested = isinstance(value, dict) and isinstance(preset.get(key), dict)
        merged[key] = override(preset[key], value) if nested else value
    return merged
