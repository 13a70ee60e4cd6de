"""Parameters of stage lift."""

from typing import Annotated

from pydantic import Field

from ovs3d.section import PositiveFloat, PositiveInt, Section


class LiftParams(Section):
    """Window features carried to the surface of the field, for queries without training."""

    downscale: PositiveInt
    points: PositiveInt
    """Upper bound of the surface points; where there would be more, voxels are put together."""
    cosine: Annotated[float, Field(gt=0, lt=1)]
    """Between features and their codes, what all of them share taken out, for 99 of 100."""
    window_sigma: PositiveFloat | None
    """Of a Gaussian around a window's centre, in its sides; None: plain mean (Algorithm 1)."""
    templates: Annotated[tuple[str, ...], Field(min_length=1)]
    """Prompts of queries, `{}` stands for what is asked for."""
    nouns: str
    """File of phrases, one a line, that the CLIP model knows: what else a place may be."""
