"""A team shares feature caches, models and experiments through a DVC remote, each in a Git clone.

Clone A builds and pushes. Clone B pulls the features alone and tries another loss weight. Clone C
pulls everything, and then repeats the experiment that B has done.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.closure import ROOT
from tests.project import SCENE, attempt, read_params, run, stages_run, write_params

FEATURES = (f"data/clip_features/{SCENE}", f"data/dino_features/{SCENE}")
PHOTOS = f"data/raw/{SCENE}/images"
KEYS = {"access_key_id": "AKIDOFTHETEAM", "secret_access_key": "never-in-git"}
BUCKET = "team"
HAS_S3 = all(find_spec(name) for name in ("dvc_s3", "moto", "flask", "flask_cors"))

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Remote:
    """A remote: its address and settings for everybody, and what each keeps to himself."""

    url: str
    settings: dict[str, str]
    keys: dict[str, str]


@pytest.fixture(
    scope="module",
    params=[
        "folder",
        pytest.param(
            "s3",
            marks=pytest.mark.skipif(not HAS_S3, reason="needs the extra dev: dvc-s3 and moto"),
        ),
    ],
)
def remote(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Remote]:
    """A folder, and a server that speaks S3 on the loopback interface."""
    if request.param == "folder":
        yield Remote(str(tmp_path_factory.mktemp("remote")), {}, {})
        return
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    nothing = tmp_path_factory.mktemp("aws") / "config"
    nothing.touch()
    with pytest.MonkeyPatch.context() as patch:
        # Whatever this machine knows of Amazon is none of the test's business.
        for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name, raising=False)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, str(nothing))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["access_key_id"],
            aws_secret_access_key=KEYS["secret_access_key"],
        )
        client.create_bucket(Bucket=BUCKET)
        yield Remote(f"s3://{BUCKET}/ovs3d", {"endpointurl": endpoint}, KEYS)
    server.stop()


@pytest.fixture(scope="module")
def origin(built_project: Path, remote: Remote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clone A: the built project under Git, photos, outputs and run cache pushed."""
    folder = tmp_path_factory.mktemp("team") / "A"
    shutil.copytree(built_project, folder)
    shutil.copy(ROOT / ".dvc/.gitignore", folder / ".dvc")
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "dvc", "config", "--unset", "core.no_scm")
    run(folder, "dvc", "remote", "add", "--default", "team", remote.url)
    for name, value in remote.settings.items():
        run(folder, "dvc", "remote", "modify", "team", name, value)
    give_keys(folder, remote)
    run(folder, "dvc", "add", PHOTOS)
    run(folder, "git", "add", "--all")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    run(folder, "git", *identity, "commit", "--quiet", "--message", "built")
    run(folder, "dvc", "push", "--run-cache")
    return folder


@pytest.fixture(scope="module")
def features_only(origin: Path, remote: Remote) -> Path:
    """Clone B, with nothing but the features of the scene."""
    folder = clone(origin, "B", remote)
    run(folder, "dvc", "pull", *FEATURES)
    return folder


@pytest.fixture(scope="module")
def experiment(features_only: Path) -> list[str]:
    """Stages that B had to run for another loss weight; then everything was pushed."""
    change_weight(features_only)
    ran = stages_run(run(features_only, "dvc", "repro", "--pull", f"distill@{SCENE}"))
    run(features_only, "dvc", "push", "--run-cache")
    return ran


@pytest.fixture(scope="module")
def everything(origin: Path, experiment: list[str], remote: Remote) -> Path:
    """Clone C, with all outputs of A and the run cache of A and B."""
    del experiment
    folder = clone(origin, "C", remote)
    run(folder, "dvc", "pull", "--run-cache")
    return folder


def clone(origin: Path, name: str, remote: Remote) -> Path:
    folder = origin.parent / name
    run(origin, "git", "clone", "--quiet", str(origin), str(folder))
    give_keys(folder, remote)
    return folder


def give_keys(folder: Path, remote: Remote) -> None:
    for name, value in remote.keys.items():
        run(folder, "dvc", "remote", "modify", "--local", "team", name, value)


def change_weight(folder: Path) -> None:
    params = read_params(folder)
    params["tiny"]["distill"]["fda"]["negative"] += 0.25
    write_params(folder, params)


def test_features_are_pulled_without_anything_else(origin: Path, features_only: Path) -> None:
    locked = yaml.safe_load((origin / "dvc.lock").read_text())["stages"]
    outs = [out for stage in locked.values() for out in stage["outs"] if out["path"] in FEATURES]
    files = [
        path
        for path in (features_only / ".dvc/cache/files").rglob("*")
        if path.is_file() and path.suffix != ".dir"
    ]
    assert len(outs) == 2
    # The run cache and other outputs stay where they are.
    assert len(files) <= sum(out["nfiles"] for out in outs)
    assert sorted(path.parent.name for path in features_only.glob("data/*/*/*.zarr")) == [SCENE] * 2


def test_photos_come_from_the_remote_not_from_git(
    origin: Path, features_only: Path, experiment: list[str]
) -> None:
    del experiment
    assert run(origin, "git", "ls-files", PHOTOS) == ""
    names = [sorted(path.name for path in (f / PHOTOS).iterdir()) for f in (origin, features_only)]
    assert names[0] == names[1]


def test_other_loss_weight_needs_no_extraction(experiment: list[str]) -> None:
    assert experiment == [f"distill@{SCENE}"]


def test_everything_pulled_leaves_nothing_to_run(everything: Path) -> None:
    assert stages_run(run(everything, "dvc", "repro")) == []
    output = run(everything, "python", "-m", "ovs3d.apps.cli", "verify", SCENE)
    assert output.count("as recorded") == 10


def test_experiment_of_a_colleague_comes_from_the_run_cache(
    features_only: Path, everything: Path
) -> None:
    change_weight(everything)
    output = run(everything, "dvc", "repro", "--pull", f"distill@{SCENE}")
    assert stages_run(output) == []
    assert f"Stage 'distill@{SCENE}' is cached" in output
    result = f"data/distill/{SCENE}/segmentation.safetensors"
    assert (everything / result).read_bytes() == (features_only / result).read_bytes()


def test_access_keys_stay_out_of_git_and_are_needed(origin: Path, remote: Remote) -> None:
    for value in remote.keys.values():
        assert attempt(origin, "git", "grep", "--quiet", value).returncode == 1
        assert value in (origin / ".dvc/config.local").read_text()
    stranger = clone(origin, "stranger", Remote(remote.url, {}, {}))
    done = attempt(stranger, "dvc", "pull", FEATURES[0])
    assert (done.returncode != 0) == ("credentials" in done.stderr) == bool(remote.keys)
