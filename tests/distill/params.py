"""Parameters of a distillation that takes a second."""

from ovs3d.distill.params import DistillParams, FdaParams, RelevancyParams
from ovs3d.params import load_preset
from tests.closure import ROOT


def relevancy_params(**changes: object) -> RelevancyParams:
    """Return those of the released method with some values changed."""
    released = load_preset(ROOT / "params.yaml", "paper").distill.relevancy
    return RelevancyParams.model_validate({**released.model_dump(), **changes})


def fda_params(**changes: object) -> FdaParams:
    """Return some with some values changed."""
    values: dict[str, object] = {
        "positive": 2.0,
        "negative": 0.2,
        "temperature": 0.2,
        "offset": 0.7,
        "disagreement": None,
        "balance": True,
        "divergence": "js",
    }
    return FdaParams.model_validate({**values, **changes})


def distill_params(**changes: object) -> DistillParams:
    """Return small parameters with some values changed."""
    values: dict[str, object] = {
        "downscale": 3,
        "iterations": 120,
        "joint_after": 40,
        "mass_kept": 0.99,
        "batch": 256,
        "patches": 2,
        "patch_tokens": 6,
        "head_hidden": 16,
        "lr_volumes": 0.02,
        "lr_heads": 0.01,
        "lr_volumes_joint": 0.02,
        "lr_heads_joint": 0.005,
        "lr_decay": 0.3,
        "templates": ["{}"],
        "window_sigma": None,
        "selection": "learned",
        "units": "none",
        "relevancy": relevancy_params(),
        "losses": {"color": 1.0, "feature": 1.0, "rda": 1.0},
        "fda": fda_params(),
    }
    return DistillParams.model_validate({**values, **changes})
