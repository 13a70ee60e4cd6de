"""One damaged input, and what must hold of it."""

import contextlib
import io
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ovs3d.errors import guarded
from ovs3d.files import atomic_path
from ovs3d.intake.scene import make_scene
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.labels import label_names, read_labels
from ovs3d.photos.masks import read_masks
from ovs3d.poses.given_poses import FOLDER, read_given
from tests.fuzz.damage import Edit
from tests.fuzz.formats import FORMATS, Format

_PROGRAM = "ovs3d new-scene"
_LIMIT = 10
"""Seconds of the processor."""


def fuzz(name: str, examples: int, seed_number: int) -> dict[str, int]:
    """Damage a format in many ways; return how many were taken and refused.

    Raises:
        AssertionError: of one damaged input something does not hold that must.
    """
    chosen, counts = FORMATS[name], {"taken": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as scratch:
        sound = Path(scratch, "sound")
        chosen.write(sound)
        shutil.copytree(sound, Path(scratch, "work/source"))
        assert _holds(chosen, Path(scratch, "work")), "the sound source is refused"

        @seed(seed_number)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(st.sampled_from(chosen.files), chosen.edits)
        def check(file: str, edit: Edit) -> None:
            work = Path(scratch, "work")
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(sound, work / "source")
            target = work / "source" / file
            target.write_bytes(edit(target.read_bytes()))
            counts["taken" if _holds(chosen, work) else "refused"] += 1

        check()
    return counts


def _holds(chosen: Format, work: Path) -> bool:
    """Read a damaged source; return whether it was taken."""
    source, scene = work / "source", work / "raw/scene"
    before = _contents(source)

    def read() -> None:
        if "params.yaml" in chosen.files:
            load_scene_params(source / "params.yaml", "scene")
            return
        with atomic_path(scene) as temporary:
            words = None if "segmentations" in chosen.files[0] else "red box, wall"
            make_scene(source, temporary, scene, words=words, frames=1)

    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()), _limited():
        code = guarded(_PROGRAM, read)
    lines = [line for line in told.getvalue().split("\n") if line.startswith(_PROGRAM)]
    assert _contents(source) == before, "the source changed"
    assert code in (0, 2), (code, told.getvalue())
    left = sorted(path.name for path in (work / "raw").glob("*")) if scene.parent.exists() else []
    if code:
        assert len(lines) == 1, told.getvalue()
        assert told.getvalue().endswith(lines[0] + "\n"), told.getvalue()
        assert "/source" in lines[0], lines[0]
        assert not left, left
    elif "params.yaml" not in chosen.files:
        assert left == ["scene"], left
        _sound(scene)
    return code == 0


def _sound(scene: Path) -> None:
    """Check that stages can read a scene."""
    photos = open_photos(scene / "images")
    labels = label_names(read_labels(scene / "segmentations/classes.txt"))
    read_masks(scene / "segmentations", labels, photos)
    if (scene / "images" / FOLDER).is_dir():
        read_given(scene / "images" / FOLDER, photos)


def _contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError(f"took more than {_LIMIT} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, _LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
