"""CLIP models as open_clip knows them: configurations, weights, tokenizers.

Importing open_clip takes seconds. Whoever may do without imports this module where a model is
wanted, not at its top.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.pretrained import (
    download_pretrained,
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)
from torch import nn

from ovs3d.errors import WeightsError, one_line
from ovs3d.features.weights import check_file, hub_file, nearest, read_json, tagged_file

_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Names of open_clip's weights files in a Hugging Face repository."""


def load_network(model: str, weights: str) -> tuple[nn.Module, dict[str, Any]]:
    """Build a model and load its weights, both as for `clip.load_clip`.

    Returns:
        The model, and what fixes it besides its weights: `model_cfg`, `preprocess_cfg` with mean
        and standard deviation of 0..1 RGB, `quick_gelu`.
    """
    # Random initial weights are drawn and thrown away; nobody's random numbers should change.
    with torch.random.fork_rng(devices=[]):
        if model.endswith(".json"):
            return _from_file(Path(model), weights)
        return _from_name(model, weights)


def image_tower(model: str) -> nn.Module:
    """Build the image tower of a model, as for `clip.load_clip`, without its weights.

    Raises:
        WeightsError: open_clip knows no such model, or the file describes none.
    """
    if model.endswith(".json"):
        configuration, _ = read_config(Path(model))
    else:
        _check_known(model)
        configuration = open_clip.get_model_config(model)
    keys = ("embed_dim", "vision_cfg", "quick_gelu")
    arguments = deepcopy({key: configuration[key] for key in keys if key in configuration})
    with _told(f"{model}: open_clip cannot build it"):
        # Any text tower will do; some of those named would have to be downloaded.
        tower: nn.Module = open_clip.CustomTextCLIP(**arguments, text_cfg={}).visual
    return tower


def image_side(tower: Any) -> int:
    """Return the side in pixels of the square that an image tower takes."""
    size = tower.image_size
    # open_clip keeps a number for some towers and a pair for others.
    return int(size if isinstance(size, int) else size[0])


def read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a model configuration of open_clip: `model_cfg` and `preprocess_cfg`.

    Raises:
        WeightsError: there is no such file, or it holds something else.
    """
    content = read_json(path, "clip_features.model")
    model = content.get("model_cfg", content)
    towers = ("vision_cfg", "text_cfg")
    if not (
        isinstance(model, dict)
        and "embed_dim" in model
        and all(isinstance(model.get(tower), dict) for tower in towers)
    ):
        raise WeightsError(
            f"{path}: not an open_clip model configuration; it needs embed_dim, vision_cfg and "
            "text_cfg"
        )
    return model, content.get("preprocess_cfg") or {}


def _from_file(path: Path, weights: str) -> tuple[nn.Module, dict[str, Any]]:
    configuration, preprocessing = read_config(path)
    arguments = deepcopy(configuration)
    custom_text = arguments.pop("custom_text", False) or "hf_model_name" in arguments["text_cfg"]
    with _told(f"{path}: open_clip cannot build it"):
        network = (open_clip.CustomTextCLIP if custom_text else open_clip.CLIP)(**arguments)
    _load_checkpoint(network, Path(weights), str(path))
    return network, _describe(configuration, preprocessing)


def _from_name(name: str, weights: str) -> tuple[nn.Module, dict[str, Any]]:
    tag, file = named_weights(name, weights)
    # Some tags were trained with another activation than the model of that name has.
    with _told(f"{name}: open_clip cannot build it"):
        network = open_clip.create_model(
            name,
            load_weights=False,
            pretrained_text=False,
            force_quick_gelu=bool(tag.get("quick_gelu", False)),
        )
    _load_checkpoint(network, file or _pretrained_file(name, weights, tag), name)
    return network, _describe(open_clip.get_model_config(name), tag)


def named_weights(name: str, weights: str) -> tuple[dict[str, Any], Path | None]:
    """Look up the weights of one of open_clip's models.

    Returns:
        What open_clip knows about them, and their file; None for those of a mere tag.

    Raises:
        WeightsError: there is no such model, its weights are neither a tag nor a file, or it takes
            a tag to know the activation and the normalisation that a file wants.
    """
    _check_known(name)
    if known := get_pretrained_cfg(name, weights):
        return known, None
    tags = {tag: get_pretrained_cfg(name, tag) for tag in list_pretrained_tags_by_model(name)}
    tag, file = tagged_file(weights)
    if file is None or tag not in ("", *tags):
        raise WeightsError(
            f"{name}: weights '{weights}' is neither a file, nor TAG@FILE, nor a pretrained tag of "
            f"this model; tags: {', '.join(tags) or 'none'}"
        )
    if tag:
        return tags[tag], file
    choices = list(tags.values()) or [{}]
    if any(_describe({}, choice) != _describe({}, choices[0]) for choice in choices):
        raise WeightsError(
            f"{name}: its weights do not all want the same activation and normalisation; say whose "
            f"{file} wants by setting clip_features.weights to TAG@{file}; tags: {', '.join(tags)}"
        )
    return choices[0], file


def _check_known(name: str) -> None:
    if name not in open_clip.list_models():
        raise WeightsError(
            f"open_clip knows no model '{name}'; nearest: {nearest(name, open_clip.list_models())}"
        )


def _pretrained_file(name: str, weights: str, tag: dict[str, Any]) -> Path:
    """Return the file of a pretrained tag, downloading it if it is not in a cache."""
    remedy = (
        "download it on a machine with network and set clip_features.weights to "
        f"{weights}@ and its path"
    )
    if hub := hub_place(tag):
        return hub_file(*hub, f"{name} {weights}", remedy)
    try:
        return Path(download_pretrained(tag))
    except Exception as error:
        raise WeightsError(
            f"{name} {weights}: cannot download {tag.get('url')} ({one_line(error)}); {remedy}"
        ) from None


def hub_place(tag: dict[str, Any]) -> tuple[str, Sequence[str]] | None:
    """Return the Hugging Face repository of a tag's weights and names that their file may have.

    None if they are kept elsewhere.
    """
    if not (hub := tag.get("hf_hub")):
        return None
    repository, _, filename = hub.rpartition("/")
    return repository, [filename] if filename else _HUB_FILES


def _load_checkpoint(network: nn.Module, file: Path, model: str) -> None:
    check_file(file, model, "clip_features.weights to one")
    with _told(f"{file}: not the weights of {model}"):
        open_clip.load_checkpoint(network, str(file))


def make_tokenizer(model: str) -> Any:
    """Return the tokenizer of a model, as for `clip.load_clip`.

    Raises:
        WeightsError: there is no such model, or its tokenizer needs another package or a file that
            is not on this machine.
    """
    if not model.endswith(".json"):
        # open_clip would log a warning and take the tokenizer of another model.
        _check_known(model)
        with _told(f"{model}: cannot make its tokenizer"):
            return open_clip.get_tokenizer(model)
    text = read_config(Path(model))[0]["text_cfg"]
    with _told(f"{model}: cannot make its tokenizer"):
        arguments = dict(text.get("tokenizer_kwargs", {}))
        context = text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH)
        if name := text.get("hf_tokenizer_name"):
            mode = text.get("tokenizer_mode")
            return open_clip.tokenizer.HFTokenizer(
                name, context_length=context, tokenizer_mode=mode, **arguments
            )
        return open_clip.SimpleTokenizer(context_length=context, **arguments)


@contextmanager
def _told(problem: str) -> Iterator[None]:
    """Tell in one line whatever open_clip raises: errors of pickle, torch, the hub, an import.

    Raises:
        WeightsError: with `problem`, the reason, and what to install if that helps.
    """
    try:
        yield
    except Exception as error:
        remedy = "; run pip install 'ovs3d[hf]'" if "transformers" in str(error) else ""
        raise WeightsError(f"{problem} ({one_line(error)}){remedy}") from None


def _describe(model: dict[str, Any], preprocessing: dict[str, Any]) -> dict[str, Any]:
    """Return what fixes the encoder besides its weights."""
    mean = preprocessing.get("mean") or OPENAI_DATASET_MEAN
    std = preprocessing.get("std") or OPENAI_DATASET_STD
    return {
        "model_cfg": model,
        "preprocess_cfg": {"mean": list(mean), "std": list(std)},
        "quick_gelu": bool(preprocessing.get("quick_gelu") or model.get("quick_gelu")),
    }
