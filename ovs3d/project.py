"""Where a project keeps what the commands read."""

from collections.abc import Collection
from pathlib import Path

from ovs3d.errors import SceneError, StoreError

PARAMS_FILE = Path("params.yaml")
RAW_FOLDER = Path("data/raw")
EXPORT_FOLDER = Path("data/export")


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


def check_views(views: Collection[int], posed: Collection[int], scene: str) -> None:
    """Check that photos named by `--views` have a pose.

    Args:
        views: photos by position.
        posed: those of the scene that have one.
        scene: its name.

    Raises:
        SceneError: one has none.
    """
    if strangers := set(views) - set(posed):
        raise SceneError(f"--views: no photo of {scene} with a pose is view {min(strangers)}")
