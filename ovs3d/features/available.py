"""Whether the models of a scene are on this machine, without loading or downloading them."""

from pathlib import Path

from ovs3d.errors import WeightsError
from ovs3d.features.weights import cached_file, read_json

# Where open_clip keeps what it downloads from elsewhere than the hub.
_CLIP_CACHE = Path("~/.cache/clip")


def clip_weights(model: str, weights: str) -> Path | None:
    """Find the weights of a CLIP model.

    Args:
        model: `clip_features.model`.
        weights: `clip_features.weights`.

    Returns:
        The file; None if it would have to be downloaded.

    Raises:
        WeightsError: there is no such model, or no such file.
    """
    from ovs3d.features import clip_models  # takes seconds

    if model.endswith(".json"):
        clip_models.read_config(Path(model))
        return _file(weights, "clip_features.weights")
    tag, given = clip_models.named_weights(model, weights)
    if given is not None:
        return given
    if (hub := clip_models.hub_place(tag)) and (found := cached_file(*hub)):
        return found
    file = _CLIP_CACHE.expanduser() / Path(tag.get("url") or "none").name
    return file if file.is_file() else None


def dino_weights(model: str, weights: str) -> Path | None:
    """Find the weights of a DINO model, as `clip_weights` does of a CLIP model."""
    from ovs3d.features import dino  # takes seconds

    if model.endswith(".json"):
        read_json(Path(model), "dino_features.model")
        return _file(weights, "dino_features.weights")
    known = dino.pretrained_config(model)
    if weights != dino.PRETRAINED:
        return _file(weights, "dino_features.weights")
    return cached_file(known.hf_hub_id or f"timm/{model}", dino.HUB_FILES)


def _file(path: str, key: str) -> Path:
    if not Path(path).is_file():
        raise WeightsError(f"{path}: no such file; set {key} to one")
    return Path(path)
