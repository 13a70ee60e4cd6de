"""What the sections of both feature stages have in common."""

from ovs3d.sections import Section


class EncoderParams(Section):
    """A model and its weights, either by name or by path."""

    model: str
    weights: str
