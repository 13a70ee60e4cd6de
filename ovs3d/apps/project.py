"""Where a project keeps what the commands read."""

from pathlib import Path

from ovs3d.errors import StoreError

PARAMS_FILE = Path("params.yaml")
RAW_FOLDER = Path("data/raw")


def built(stage: str, scene: str, name: str) -> Path:
    """Return an output of a stage.

    Args:
        stage: as in `dvc.yaml`.
        scene: its name.
        name: of the file or folder in `data/<stage>/<scene>/`.

    Raises:
        StoreError: it is not there yet.
    """
    path = Path("data") / stage / scene / name
    if not path.exists():
        raise StoreError(f"{path}: not built yet; run `dvc repro {stage}@{scene}`")
    return path
