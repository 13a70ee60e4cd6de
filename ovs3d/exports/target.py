"""Folders to write to: what cannot be written shows before any work is done."""

import os
from pathlib import Path

from ovs3d.errors import StoreError, one_line


def make_folder(folder: Path) -> None:
    """Make a folder that can be written, with all above it.

    Raises:
        StoreError: that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(None, "Permission denied")
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise StoreError(
            f"{folder}: cannot be written ({reason}); choose another place with --out"
        ) from None
