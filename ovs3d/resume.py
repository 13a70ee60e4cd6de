"""Trainings that survive a kill: their state on disk, and what it was made from."""

import hashlib
import json
import pickle
import struct
import time
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ovs3d.files import atomic_path, remove_abandoned

_SECONDS_BETWEEN = 15.0
_MOST_TIME_SHARE = 0.05
"""Of the training time, spent on saving at most."""
# What a missing file raises, a cut one, one that is no archive or holds something else.
_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    KeyError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
)


class Checkpoint:
    """The state of an unfinished training, kept beside its outputs and removed with the last step.

    A state is taken up again only by a training that starts from the same things; any other
    begins anew, so that results never depend on what lies around.
    """

    def __init__(self, path: Path, code: Mapping[str, str], made_from: Mapping[str, Any]) -> None:
        """Name the file and everything that the training depends on.

        Args:
            path: of the file; what stands there is neither read nor removed yet.
            code: of the training, as `ovs3d.identity.code_of` returns it.
            made_from: JSON values: digests of the inputs, parameters, seed, device. The version of
                torch is added.
        """
        self._path = path
        everything = {**made_from, "code": code, "torch": torch.__version__}
        self._fingerprint = hashlib.sha256(json.dumps(everything, sort_keys=True).encode())
        self._saved = time.monotonic()
        self._pause = _SECONDS_BETWEEN

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state that `save` got last, its tensors on `device`.

        None if there is none, it is damaged or it was made from something else.
        """
        try:
            # torch itself does not look at the checksums of its archives.
            with zipfile.ZipFile(self._path) as archive:
                if archive.testzip() is not None:
                    return None
            content = torch.load(self._path, map_location=device, weights_only=True)
            if content["fingerprint"] == self._fingerprint.hexdigest():
                state: dict[str, Any] = content["state"]
                return state
        except _UNREADABLE:
            pass
        return None

    @property
    def due(self) -> bool:
        """Whether it is time to save again; saving never takes more than a small share of it."""
        return time.monotonic() - self._saved >= self._pause

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state of tensors, numbers, strings, lists and dicts, atomically."""
        started = time.monotonic()
        content = {"fingerprint": self._fingerprint.hexdigest(), "state": state}
        # Through Python's file, because torch's own does not say that a disk is full.
        with atomic_path(self._path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
        self._saved = time.monotonic()
        self._pause = max(_SECONDS_BETWEEN, (self._saved - started) / _MOST_TIME_SHARE)

    def remove(self) -> None:
        """Remove the state; to be called once the outputs are in place."""
        self._path.unlink(missing_ok=True)
        remove_abandoned(self._path)
