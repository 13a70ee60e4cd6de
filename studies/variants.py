"""The method and its ablations, as changes of single parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variant:
    """A form of the method.

    Attributes:
        name: on the command line and in the results.
        text: what it is, for the table.
        overrides: dotted keys of `params.yaml` below the preset -> values.
    """

    name: str
    text: str
    overrides: Mapping[str, Any] = field(default_factory=dict)


FULL = Variant("full", "the method as the preset has it")

ABLATIONS = (
    Variant("no_rda", "without RDA", {"distill.losses.rda": 0.0}),
    Variant("no_fda", "without FDA", {"distill.fda.positive": 0.0, "distill.fda.negative": 0.0}),
    Variant(
        "no_fda_negative",
        "without the half of FDA that pushes dissimilar points apart",
        {"distill.fda.negative": 0.0},
    ),
    Variant(
        "no_balance",
        "FDA over all pairs, as many as there are of each kind",
        {"distill.fda.balance": False},
    ),
    Variant("raw_units", "features and cosines as they are", {"distill.units": "none"}),
    Variant(
        "stretched",
        "relevancy stretched to [0, 1] per view (Eq. 7), times 8, from single views",
        {"distill.relevancy.normalise": "view", "distill.relevancy.consensus": None},
    ),
    Variant(
        "no_consensus",
        "RDA's target from single views",
        {"distill.relevancy.consensus": None},
    ),
    Variant(
        "selected_scales",
        "RDA's target by the Selection Volume's scales",
        {"distill.relevancy.scale_sharpness": None, "distill.relevancy.guide_radius": None},
    ),
    Variant(
        "no_guide",
        "RDA's target without the guided filter",
        {"distill.relevancy.guide_radius": None},
    ),
    Variant(
        "no_selection",
        "mean over the scales in place of the Selection Volume",
        {"distill.selection": "mean"},
    ),
    Variant(
        "plain_windows",
        "pixel features: the plain mean of windows (Algorithm 1)",
        {"distill.window_sigma": None},
    ),
    Variant(
        "one_scale",
        "pixel features of the larger windows alone; RDA's target has all scales",
        {"distill.selection": 0},
    ),
    Variant(
        "views_50", "CLIP features of 50 % of the training views", {"clip_features.views": 0.5}
    ),
    Variant(
        "views_10", "CLIP features of 10 % of the training views", {"clip_features.views": 0.1}
    ),
)
