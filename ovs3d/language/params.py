"""Parameters of stage lift."""

from typing import Annotated

from pydantic import Field

from ovs3d.sections import PositiveFloat, PositiveInt, Section


class LiftParams(Section):
    """Window features carried to the surface of the field, for queries without training."""

    downscale: PositiveInt
    """Features are carried to the surface along the rays of photo / this."""
    points: PositiveInt
    """Upper bound of the points of the surface; where there would be more, voxels are put
    together."""
    cosine: Annotated[float, Field(gt=0, lt=1)]
    """Cosine, in (0, 1), of features with what is stored of them that 99 of 100 must reach, the
    mean of all taken out. Nearer to 1, points take more memory."""
    window_sigma: PositiveFloat | None
    """As `distill.window_sigma`, for the features that are carried to the surface."""
    templates: Annotated[tuple[str, ...], Field(min_length=1)]
    """Prompts of `ovs3d query`, averaged; `{}` stands for what is asked for."""
    nouns: str
    """Path of a file of phrases that the CLIP model knows, one a line. Queries compare what is
    asked for with them, to tell what is not in the scene (docs/language.md)."""
