"""Outputs of the pipeline's stages and changed scenes, made once for all rows that need the same.

Every folder is named after what it is made from: parameters, photos, seed and the stage's code.
What a kill leaves unfinished is continued by the stage itself.
"""

import argparse
import hashlib
import importlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from ovs3d.files import atomic_path, digest
from ovs3d.identity import ROOT, code_of
from ovs3d.params import SceneParams
from ovs3d.poses.given_poses import FOLDER as GIVEN_POSES
from ovs3d.poses.upright import read_turn
from studies.scenes import Scene

_KEY_DIGITS = 12


class Products:
    """The stages of one scene up to the field.

    Attributes:
        scene: whose photos the stages see.
        work: folder of all products.
    """

    def __init__(self, scene: Scene, work: Path) -> None:
        self.scene = scene
        self.work = work

    def poses(self, params: SceneParams) -> Path:
        """Return the folder that stage poses writes."""
        given = sorted((self.scene.images / GIVEN_POSES).glob("*"))
        made_from = [self._photos(), digests(given)]
        return self._run("poses", _unseeded(params), made_from, images=self.scene.images)

    def clip_features(self, params: SceneParams) -> Path:
        """Return the folder that stage clip_features writes."""
        made_from: list[Any] = [self._photos()]
        if params.stages.clip_features.views < 1:
            made_from += [params.val_views, params.test_views]
        inputs = {"images": self.scene.images, "poses": self.poses(params)}
        if params.stages.clip_features.turn == "auto":
            made_from.append(read_turn(inputs["poses"]))
        return self._run("clip_features", _unseeded(params), made_from, **inputs)

    def dino_features(self, params: SceneParams) -> Path:
        """Return the folder that stage dino_features writes."""
        photos = [self._photos()]
        return self._run("dino_features", _unseeded(params), photos, images=self.scene.images)

    def reconstruct(self, params: SceneParams) -> Path:
        """Return the folder that stage reconstruct writes, one for every seed."""
        poses = self.poses(params)
        made_from = [self._photos(), poses.name, params.val_views, params.test_views]
        return self._run("reconstruct", params, made_from, images=self.scene.images, poses=poses)

    def lift(self, params: SceneParams) -> Path:
        """Return the folder that stage lift writes, one for every field."""
        inputs = {
            "poses": self.poses(params),
            "clip_features": self.clip_features(params),
            "reconstruct": self.reconstruct(params),
        }
        made_from = [
            self._photos(),
            *(path.name for path in inputs.values()),
            digests([Path(params.stages.lift.nouns)]),
        ]
        return self._run("lift", params, made_from, images=self.scene.images, **inputs)

    def arguments(self, params: SceneParams, out: Path) -> argparse.Namespace:
        """Return the arguments of stage distill; what it reads is made first."""
        return argparse.Namespace(
            scene=self.scene.name,
            images=self.scene.images,
            classes=self.scene.classes,
            poses=self.poses(params),
            clip_features=self.clip_features(params),
            dino_features=self.dino_features(params),
            reconstruct=self.reconstruct(params),
            out=out,
        )

    def _photos(self) -> list[str]:
        return digests(sorted(path for path in self.scene.images.iterdir() if path.is_file()))

    def _run(
        self, stage: str, params: SceneParams, made_from: Sequence[Any], **inputs: Path
    ) -> Path:
        section = getattr(params.stages, stage).model_dump(mode="json")
        content = [section, params.seed, params.device, code_digest((stage,)), *made_from]
        out = self.work / stage / f"{self.scene.name}-{key_of(content)}"
        done = out.with_name(f"{out.name}.done")
        with locked(out):
            if not done.is_file():
                main = importlib.import_module(f"stages.{stage}").main
                main(argparse.Namespace(scene=self.scene.name, out=out, **inputs), params)
                done.touch()
        return out


def changed_scene(scene: Scene, copy: Path, part: str, write: Callable[[Path], None]) -> Scene:
    """Return a scene whose folder holds links to all files of another's but one part.

    Args:
        scene: the original.
        copy: its folder; if it is there, it is taken as it is.
        part: path of a file or folder within the scene; no other has its name.
        write: makes it at a path where nothing is.
    """
    with locked(copy):
        if not copy.is_dir():
            with atomic_path(copy) as temporary:
                shutil.copytree(
                    scene.folder.resolve(),
                    temporary,
                    ignore=shutil.ignore_patterns(Path(part).name),
                    copy_function=os.symlink,
                )
                write(temporary / part)
    return replace(scene, folder=copy)


def key_of(content: Any) -> str:
    """Return a short digest of JSON values."""
    text = json.dumps(content, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


@cache
def code_digest(stages: tuple[str, ...], files: tuple[Path, ...] = ()) -> str:
    """Return a digest of the code of some stages and of further source files."""
    scripts = [ROOT / "stages" / f"{stage}.py" for stage in stages]
    return key_of([code_of(str(file)) for file in [*scripts, *files]])


def locked(path: Path) -> FileLock:
    """Return what keeps other processes from making the same thing at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))


def digests(files: Iterable[Path]) -> list[str]:
    """Return name and digest of every file."""
    return [f"{file.name} {_digest_of(file, file.stat().st_mtime_ns)}" for file in files]


def _unseeded(params: SceneParams) -> SceneParams:
    """Return the parameters of a stage whose outputs all seeds share."""
    return params.model_copy(update={"seed": 0})


@cache
def _digest_of(file: Path, modified: int) -> str:  # noqa: ARG001 - part of what is remembered
    return digest(file)
