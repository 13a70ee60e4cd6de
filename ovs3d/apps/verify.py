"""Check everything that was built of a scene, byte by byte."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from ovs3d.apps.recorded import Output, Project, read_lock
from ovs3d.distill.model import KIND as SEGMENTATION_KIND
from ovs3d.errors import Ovs3dError, StoreError, did_you_mean
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.field.checkpoint import FIELD_KIND, load_tensors
from ovs3d.language.store import NAME as LANGUAGE
from ovs3d.language.store import read_arrays
from ovs3d.params import Preset, scene_names
from ovs3d.poses.given_poses import name_some
from ovs3d.progress import plain_console, progress
from ovs3d.project import PARAMS_FILE
from ovs3d.space.cameras import load_cameras

_READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "poses": ("cameras.json", load_cameras),
    "clip_features": ("clip.zarr", lambda path: FeatureStore.open(path).check()),
    "dino_features": ("dino.zarr", lambda path: TokenStore.open(path).check()),
    "reconstruct": ("field.safetensors", lambda path: load_tensors(path, FIELD_KIND)),
    "lift": (LANGUAGE, read_arrays),
    "distill": ("segmentation.safetensors", lambda path: load_tensors(path, SEGMENTATION_KIND)),
}
"""The files that other stages read, and what reads them: they have digests and versions inside."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d verify`."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")
    parser.add_argument("stages", nargs="*", help="only these stages, for example clip_features")


def run(arguments: argparse.Namespace) -> int:
    """Check a scene; return 1 if anything is wrong with it.

    Raises:
        StoreError: there is no such scene or stage, or nothing of it was built.
    """
    scene, stages = arguments.name, list(Preset.model_fields)
    scenes = scene_names(PARAMS_FILE)
    if scene not in scenes:
        raise StoreError(f"no scene '{scene}' in {PARAMS_FILE}{did_you_mean(scene, scenes)}")
    for stage in arguments.stages:
        if stage not in stages:
            raise StoreError(f"no stage '{stage}'{did_you_mean(stage, stages)}")
    problems = verify(Path(), scene, arguments.stages)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def verify(root: Path, scene: str, only: Sequence[str]) -> list[str]:
    """Read all outputs of a scene and compare them with the digests of `dvc.lock` and their own.

    Args:
        root: folder of the project.
        scene: its name.
        only: stages to check; all that were built if empty.

    Returns:
        One line per problem: file, what is wrong, what to do. A table goes to the terminal.

    Raises:
        StoreError: nothing of the scene, or of a stage in `only`, was built.
    """
    built = read_lock(root / "dvc.lock", scene)
    for stage in only or [""]:
        if (stage and stage not in built) or not built:
            what = f"stage {stage} of scene {scene}" if stage else f"scene {scene}"
            raise StoreError(f"{root / 'dvc.lock'}: {what} was not built yet; run `dvc repro`")
    project = Project(root)
    table = Table("stage", "files", "MB", "", title=f"outputs of {scene}", title_justify="left")
    chosen = {stage: built[stage] for stage in built if not only or stage in only}
    found, lost = [], []
    with progress("verify", sum(map(_files, chosen.values())), "files") as advance:
        for stage, outputs in chosen.items():
            here = [output for output in outputs if (root / output.path).exists()]
            lost += [output.path for output in outputs if output not in here]
            problems = [line for out in here for line in project.differences(out, advance)]
            if not problems and here == outputs and stage in _READERS:
                # As recorded, but is it sound, and of a version that this code reads?
                name, read = _READERS[stage]
                problems = _try(read, root / "data" / stage / scene / name)
            found += problems
            size = sum(output.size for output in outputs) / 1e6
            verdict = "as recorded" if here == outputs else "missing"
            if problems:
                verdict = f"{len(problems)} wrong"
            table.add_row(stage, str(_files(outputs)), f"{size:.1f}", verdict)
    plain_console().print(table)
    if lost:
        found.append(
            f"missing: {name_some(lost)}; get them with `dvc checkout` (from this machine's "
            "cache), `dvc pull` (from the team's remote) or `dvc repro` (made again)"
        )
    return found


def _files(outputs: Sequence[Output]) -> int:
    return sum(output.files for output in outputs)


def _try(read: Callable[[Path], object], path: Path) -> list[str]:
    try:
        read(path)
    except Ovs3dError as error:
        return [str(error)]
    return []
