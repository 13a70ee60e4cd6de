"""Encoders that somebody made on this machine, for photographs where no published ones are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ovs3d.apps.downscales import REAL_PHOTOS
from ovs3d.errors import ParamsError

FOLDER = Path("data/weights/real")
"""Where `python -m tools.real_encoders` puts them; relative to the project."""
PARAMS = FOLDER / "params.yaml"
"""Sections of parameters that take them."""


def local_encoders(preset: str) -> Mapping[str, Mapping[str, Any]]:
    """Return section -> parameters for the local encoders; nothing without, or for other presets.

    Raises:
        ParamsError: the file beside them holds no sections.
    """
    if preset != REAL_PHOTOS or not PARAMS.is_file():
        return {}
    try:
        content = yaml.safe_load(PARAMS.read_text())
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict) or not all(
        isinstance(each, dict) for each in content.values()
    ):
        raise ParamsError(f"{PARAMS}: no sections of parameters; remove {FOLDER}, or make it anew")
    return content
