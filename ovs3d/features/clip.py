"""The CLIP encoder: windows of a photo and texts to unit vectors of one space."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
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
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from ovs3d.device import autocast, lowest_precision
from ovs3d.errors import WeightsError, one_line
from ovs3d.features.crops import resize_windows
from ovs3d.features.prompts import make_prompts
from ovs3d.features.weights import (
    hub_file,
    model_digest,
    nearest,
    read_json,
    tagged_file,
)
from ovs3d.photos.labels import Label

HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Names of open_clip's weights files in a Hugging Face repository."""
_TEXTS_PER_CALL = 256
_PROBES = 4
"""Smooth random pictures on which the precision is chosen."""


@dataclass(frozen=True)
class ClipEncoder:
    """An open_clip model ready for inference.

    Attributes:
        name: the `model` parameter that it was loaded by.
        digest: SHA-256 of configuration and weights.
        dim: length of the embeddings.
        image_size: side in pixels of the square that the image tower takes.
    """

    name: str
    digest: str
    dim: int
    image_size: int
    model: nn.Module
    tokenizer: Callable[[list[str]], Tensor]
    mean: Tensor
    std: Tensor

    @cached_property
    def precision(self) -> torch.dtype:
        """The type in which windows are embedded fastest without losing what matters."""
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(_PROBES, 3, 4, 4, generator=generator) * 255
        side = (self.image_size, self.image_size)
        probes = interpolate(coarse, side, mode="bilinear").to(self.mean.device)
        return lowest_precision(
            self.mean.device, lambda dtype: self.embed(self._normalise(probes.clone()), dtype)
        )

    def encode_windows(self, photo: Tensor, boxes: Tensor, turn: int = 0) -> Tensor:
        """Embed windows, each resized whole to the encoder's square, in `precision`.

        The resize is bicubic, for models too whose own preprocessing is bilinear.

        Args:
            photo: [H, W, 3] uint8 on the encoder's device.
            boxes: [M, 4] integer left, upper, right, lower in photo pixels, right and lower
                exclusive, on the CPU.
            turn: degrees clockwise by which the squares are turned, a multiple of 90.

        Returns:
            [M, dim] float32 unit vectors on the encoder's device.
        """
        squares = self.prepare(photo, boxes)
        return self.embed(torch.rot90(squares, -turn // 90, (2, 3)), self.precision)

    def prepare(self, photo: Tensor, boxes: Tensor) -> Tensor:
        """Cut, resize and normalise windows: [M, 3, image_size, image_size] for `embed`."""
        return self._normalise(resize_windows(photo, boxes, self.image_size))

    @torch.no_grad()
    def embed(self, squares: Tensor, precision: torch.dtype) -> Tensor:
        """Run the image tower in a precision: [M, dim] float32 unit vectors."""
        with autocast(squares.device, precision):
            vectors = self.model.encode_image(squares)  # type: ignore[operator]
        return normalize(vectors.float(), dim=-1)

    @torch.no_grad()
    def encode_text(self, labels: Sequence[Label], templates: Sequence[str]) -> Tensor:
        """Embed labels as the mean over their phrases in all templates.

        Args:
            labels: C of them.
            templates: prompts in which `{}` stands for a phrase.

        Returns:
            [C, dim] float32 unit vectors on the encoder's device: the unit vectors of a label's
            prompts averaged and normalised again.

        Raises:
            ParamsError: a template has no place for the phrase.
            SceneError: a phrase is too long for the text tower.
        """
        prompts = make_prompts(labels, templates, self.tokenizer)
        tokens = self.tokenizer(prompts).to(self.mean.device)
        parts = [self._encode_tokens(part) for part in torch.split(tokens, _TEXTS_PER_CALL)]
        counts = [len(label.phrases) * len(templates) for label in labels]
        means = [vectors.mean(dim=0) for vectors in torch.split(torch.cat(parts), counts)]
        return normalize(torch.stack(means), dim=-1)

    def _normalise(self, squares: Tensor) -> Tensor:
        """Turn [M, 3, h, w] values of 0..255, in place, into what the image tower takes."""
        return squares.mul_(1 / (255 * self.std)).sub_(self.mean / self.std)

    def _encode_tokens(self, tokens: Tensor) -> Tensor:
        vectors = self.model.encode_text(tokens)  # type: ignore[operator]
        return normalize(vectors.float(), dim=-1)


def load_clip(model: str, weights: str, device: torch.device) -> ClipEncoder:
    """Load an open_clip model.

    Args:
        model: a name that open_clip knows, or the path of a model configuration ending in .json.
        weights: a pretrained tag of that model, the path of a weights file, or `TAG@FILE`: a file
            with the activation and the normalisation of a tag.
        device: where it runs.

    Raises:
        WeightsError: the model is unknown, its weights were not found or do not fit it.
    """
    # Random initial weights are drawn and thrown away; nobody's random numbers should change.
    with torch.random.fork_rng(devices=[]):
        if model.endswith(".json"):
            network, configuration = _from_file(Path(model), weights)
        else:
            network, configuration = _from_name(model, weights)
    tokenizer = make_tokenizer(model)
    preprocessing = configuration["preprocess_cfg"]
    # Parameters keep asking for gradients, which nothing computes: without, torch's linear layers
    # copy their weights once per token where the tokens come first, four times the work.
    network = network.eval()
    digest = model_digest(network, configuration)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = network.visual.image_size
    return ClipEncoder(
        name=model,
        digest=digest,
        dim=int(configuration["model_cfg"]["embed_dim"]),
        # open_clip keeps a number for some towers and a pair for others.
        image_size=int(size if isinstance(size, int) else size[0]),
        model=network,
        tokenizer=tokenizer,
        mean=torch.tensor(preprocessing["mean"], device=device).view(1, 3, 1, 1),
        std=torch.tensor(preprocessing["std"], device=device).view(1, 3, 1, 1),
    )


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
    with told(f"{path}: open_clip cannot build it"):
        network = (open_clip.CustomTextCLIP if custom_text else open_clip.CLIP)(**arguments)
    _load_checkpoint(network, Path(weights), str(path))
    return network, _describe(configuration, preprocessing)


def _from_name(name: str, weights: str) -> tuple[nn.Module, dict[str, Any]]:
    tag, file = named_weights(name, weights)
    # Some tags were trained with another activation than the model of that name has.
    with told(f"{name}: open_clip cannot build it"):
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
    if hub := tag.get("hf_hub"):
        owner, _, filename = hub.rpartition("/")
        return hub_file(owner, [filename] if filename else HUB_FILES, f"{name} {weights}", remedy)
    try:
        return Path(download_pretrained(tag))
    except Exception as error:
        raise WeightsError(
            f"{name} {weights}: cannot download {tag.get('url')} ({one_line(error)}); {remedy}"
        ) from None


def _load_checkpoint(network: nn.Module, file: Path, model: str) -> None:
    if not file.is_file():
        raise WeightsError(f"{model}: no weights file {file}; set clip_features.weights to one")
    with told(f"{file}: not the weights of {model}"):
        open_clip.load_checkpoint(network, str(file))


def make_tokenizer(model: str) -> Any:
    """Return the tokenizer of a model.

    Args:
        model: as for `load_clip`.

    Raises:
        WeightsError: there is no such model, or its tokenizer needs another package or a file that
            is not on this machine.
    """
    if not model.endswith(".json"):
        # open_clip would log a warning and take the tokenizer of another model.
        _check_known(model)
        with told(f"{model}: cannot make its tokenizer"):
            return open_clip.get_tokenizer(model)
    text = read_config(Path(model))[0]["text_cfg"]
    with told(f"{model}: cannot make its tokenizer"):
        arguments = dict(text.get("tokenizer_kwargs", {}))
        context = text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH)
        if name := text.get("hf_tokenizer_name"):
            mode = text.get("tokenizer_mode")
            return open_clip.tokenizer.HFTokenizer(
                name, context_length=context, tokenizer_mode=mode, **arguments
            )
        return open_clip.SimpleTokenizer(context_length=context, **arguments)


@contextmanager
def told(problem: str) -> Iterator[None]:
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
