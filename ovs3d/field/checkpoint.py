"""Fields on disk: safetensors with their configuration in the header; atomic, deterministic."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ovs3d.errors import StoreError, one_line
from ovs3d.field.model import Field, FieldConfig
from ovs3d.files import atomic_path

FIELD_KIND = "field"

_VERSION = "2"
_KEY = "ovs3d"


def save_tensors(
    path: Path, kind: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> None:
    """Write tensors and their configuration; equal content gives equal bytes.

    Args:
        path: a `.safetensors` file.
        kind: what the file is, for example `field`; checked by `load_tensors`.
        tensors: on any device; dtypes are kept.
        config: JSON values.
    """
    stored = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    content = _digest(stored, config)
    header = {"config": config, "digest": content, "kind": kind, "version": _VERSION}
    with atomic_path(path) as temporary:
        # One metadata entry only: safetensors does not keep several in a fixed order.
        save_file(stored, temporary, metadata={_KEY: json.dumps(header, sort_keys=True)})


def load_tensors(
    path: Path, kind: str, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote: tensors and configuration.

    Raises:
        StoreError: the file is missing, damaged, of another kind or version.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such file; run the stage that writes it (dvc repro)")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            if not isinstance(header, dict):
                raise ValueError(f"metadata {_KEY} is no mapping")
            found = f"{header.get('kind', 'file')} of version {header.get('version', 'unknown')}"
            if (header.get("kind"), header.get("version")) != (kind, _VERSION):
                raise StoreError(
                    f"{path}: holds a {found}, expected a {kind} of version {_VERSION}; "
                    f"run the stage that writes it again"
                )
            if not isinstance(header.get("config"), dict):
                raise ValueError("no configuration")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _digest(tensors, header["config"]) != header.get("digest"):
            raise ValueError("its content does not match its digest")
        return {name: tensor.to(device) for name, tensor in tensors.items()}, header["config"]
    except (SafetensorError, ValueError, OSError) as error:
        reason = one_line(error)
        raise StoreError(
            f"{path}: damaged or no {kind} at all ({reason}); delete it, then restore it with "
            f"`dvc checkout` or `dvc pull`, or run the stage that writes it again"
        ) from None


def save_field(path: Path, field: Field) -> None:
    """Write a field; its occupancy is made anew when it is read."""
    save_tensors(path, FIELD_KIND, field.state_dict(), field.config.to_dict())


def load_field(path: Path, device: torch.device | str = "cpu") -> Field:
    """Read a field.

    Raises:
        StoreError: as `load_tensors`.
    """
    try:
        return field_from_tensors(*load_tensors(path, FIELD_KIND, device))
    except StoreError as error:
        if str(error).startswith(str(path)):
            raise
        raise StoreError(f"{path}: {error}; run stage reconstruct again") from None


def field_from_tensors(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Field:
    """Build a field from its `state_dict()` and `config.to_dict()`, on the tensors' device.

    For checkpoints that hold a field among other things.

    Raises:
        StoreError: tensors are missing or of another shape, or the config is no field's.
    """
    try:
        field = Field(FieldConfig.from_dict(dict(config)), device="meta")
        field.load_state_dict(dict(tensors), assign=True)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = one_line(error)
        raise StoreError(f"tensors and configuration are not those of a field ({reason})") from None
    field.update_occupancy()
    return field


def _digest(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of tensors on the CPU and their configuration."""
    hasher = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()
