"""Section `evaluate` of `params.yaml`."""

from ovs3d.sections import PositiveInt, Section


class EvaluateParams(Section):
    """Scoring of rendered views."""

    downscale: PositiveInt
    """Views are rendered, and compared with photos and masks, at photo / this."""
