"""Damage of every kind of file, found in a small scene whose outputs DVC has recorded."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ovs3d.apps import cli
from ovs3d.distill.model import KIND
from ovs3d.field.checkpoint import save_field, save_tensors
from ovs3d.files import write_json
from ovs3d.language.store import write_arrays
from ovs3d.space.cameras import save_cameras
from tests.damage import flip_bit, truncate
from tests.features.stores import make_store, make_token_store
from tests.field.builders import fog
from tests.project import run
from tests.synthetic import SyntheticScene

OUTPUTS = {
    "poses": ["data/poses/toy"],
    "clip_features": ["data/clip_features/toy"],
    "dino_features": ["data/dino_features/toy"],
    "reconstruct": ["data/reconstruct/toy/field.safetensors", "data/reconstruct/toy/metrics.json"],
    "lift": ["data/lift/toy/language.zarr"],
    "distill": ["data/distill/toy/segmentation.safetensors"],
}


@pytest.fixture(scope="module")
def recorded(scene: SyntheticScene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose outputs were written by the library and recorded by DVC."""
    root = tmp_path_factory.mktemp("recorded")
    data = root / "data"
    save_cameras(scene.cameras, data / "poses/toy/cameras.json")
    (data / "poses/toy/sfm").mkdir()
    (data / "poses/toy/sfm/images.bin").write_bytes(bytes(range(256)))
    make_store(data / "clip_features/toy/clip.zarr")
    make_token_store(data / "dino_features/toy/dino.zarr")
    save_field(data / "reconstruct/toy/field.safetensors", fog())
    write_json(data / "reconstruct/toy/metrics.json", {"psnr": 30.0})
    write_arrays(data / "lift/toy/language.zarr", {"codes": np.ones(9, np.int8)}, {})
    save_tensors(data / "distill/toy/segmentation.safetensors", KIND, {"a": torch.ones(9)}, {})
    stages = {
        name: {"foreach": ["toy"], "do": {"cmd": "false", "outs": outs}}
        for name, outs in OUTPUTS.items()
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (root / "params.yaml").write_text("scenes: {toy: {}, other: {}}\n")
    run(root, "dvc", "init", "--quiet", "--no-scm")
    run(root, "dvc", "commit", "--quiet", "--force")
    return root


@pytest.fixture
def project(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of it, to be damaged, and go there."""
    shutil.copytree(recorded, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def files(project: Path) -> list[Path]:
    return sorted(path for path in (project / "data").rglob("*") if path.is_file())


def verify(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """Run `ovs3d verify` on the scene; return its exit code and what it said of problems."""
    code = cli.main(["verify", "toy", *arguments])
    lines = capsys.readouterr().err.splitlines()
    return code, [line for line in lines if line.startswith(("data", "ovs3d", "missing"))]


def test_sound_scene_passes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "data/clip_features/toy/.clip.zarr.77.tmp").mkdir()
    (project / "data/clip_features/toy/.clip.zarr.77.tmp/zarr.json").write_text("left behind")
    assert cli.main(["verify", "toy"]) == 0
    output = capsys.readouterr().out
    assert all(re.search(rf"{stage} .* as recorded", output) for stage in OUTPUTS)


@pytest.mark.parametrize(
    ("damage", "seed"), [(flip_bit, 0), (flip_bit, 1), (truncate, 2)], ids=["bit", "bit", "cut off"]
)
def test_every_damaged_file_is_named_with_the_remedy(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path, int], None],
    seed: int,
) -> None:
    damaged = files(project)
    assert len(damaged) == 20
    for number, file in enumerate(damaged):
        damage(file, 100 * seed + number)
    code, lines = verify(capsys)
    assert code == 1
    assert sorted(line.split(":")[0] for line in lines) == [
        file.relative_to(project).as_posix() for file in damaged
    ]
    assert all(re.search(r": is not what .* wrote; delete it, then `dvc ch", x) for x in lines)


def test_every_missing_file_is_named_and_the_remedy_works(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = files(project)
    before = {file: file.read_bytes() for file in missing}
    whole = [out for outs in OUTPUTS.values() for out in outs if (project / out).is_file()]
    for file in missing:
        file.unlink()
    code, lines = verify(capsys)
    assert code == 1
    *lines, last = lines
    assert last.startswith(f"missing: {', '.join(sorted(whole))}; get them with `dvc checkout`")
    assert {line.split(":")[0] for line in lines} == {
        file.relative_to(project).as_posix() for file in missing
    } - set(whole)
    assert {line.split("; ")[1] for line in lines} == {
        f"`dvc checkout {out}`" for outs in OUTPUTS.values() for out in outs if out not in whole
    }
    run(project, "dvc", "checkout", *(out for outs in OUTPUTS.values() for out in outs))
    assert {file: file.read_bytes() for file in files(project)} == before


def test_clone_without_outputs_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(project / "data")
    assert cli.main(["verify", "toy"]) == 1
    told = capsys.readouterr()
    assert told.out.count("missing") == len(OUTPUTS)
    (line,) = (line for line in told.err.splitlines() if not line.startswith("verify: "))
    assert line.startswith("missing: data/")
    run(project, "dvc", "checkout")
    assert verify(capsys) == (0, [])


def test_deleting_a_file_that_rotted_unseen_and_checking_out_restores_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(project, "dvc", "status")
    shard = project / "data/clip_features/toy/clip.zarr/embeddings/c.2.0.0"
    flip_bit(shard, 0)
    _, (line,) = verify(capsys)
    assert line.endswith("delete it, then `dvc checkout data/clip_features/toy`")
    shard.unlink()
    run(project, "dvc", "checkout", "data/clip_features/toy")
    assert verify(capsys) == (0, [])


def test_damage_of_the_cache_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cached = [path for path in (project / ".dvc/cache/files").rglob("*") if path.is_file()]
    for file in cached:
        file.chmod(0o644)
    shard = project / "data/clip_features/toy/clip.zarr/embeddings/c.2.0.0"
    twin = next(file for file in cached if file.read_bytes() == shard.read_bytes())
    flip_bit(shard, 0)
    flip_bit(twin, 0)
    _, (line,) = verify(capsys)
    assert f"delete {twin} (damaged as well), then `dvc pull data/clip_features/toy`" in line
    shutil.rmtree(project / ".dvc/cache")
    _, (line,) = verify(capsys)
    assert line == (
        "data/clip_features/toy: a file in it is missing or changed; delete it, then "
        "`dvc pull data/clip_features/toy` or `dvc repro clip_features@toy`"
    )


def test_additional_file_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "data/clip_features/toy/clip.zarr/embeddings/c.3.0.0").write_bytes(b"x")
    code, (line,) = verify(capsys)
    assert code == 1
    assert re.search(r"c\.3\.0\.0: is none of the recorded files; delete it$", line)


def test_damage_that_was_recorded_is_found(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip_bit(project / "data/clip_features/toy/clip.zarr/embeddings/c.2.0.0", 0)
    run(project, "dvc", "commit", "--quiet", "--force", "clip_features@toy")
    code, (line,) = verify(capsys)
    assert code == 1
    assert re.search(r"c\.2\.0\.0: no readable clip_features store .*damaged", line)


def test_only_the_named_stages_are_read(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip_bit(project / "data/distill/toy/segmentation.safetensors", 0)
    assert verify(capsys, "clip_features", "poses") == (0, [])
    assert verify(capsys, "distill")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["other"], "dvc.lock: scene other was not built yet; run `dvc repro`"),
        (["clip_features", "toy"], "no scene 'clip_features' in params.yaml; known: toy, other"),
        (["toi"], "no scene 'toi' in params.yaml; did you mean 'toy'?"),
        (["toy", "clip"], "no stage 'clip'; did you mean 'clip_features'?"),
        (["toy", "render"], "dvc.lock: stage render of scene toy was not built yet"),
    ],
)
def test_what_was_not_built_is_said(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    del project
    assert cli.main(["verify", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "stages: [", "stages: {poses@toy: {}}"])
def test_unreadable_lock_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (project / "dvc.lock").write_text(content)
    code, (line,) = verify(capsys)
    assert code == 2
    assert line.endswith("run `git checkout dvc.lock`")
