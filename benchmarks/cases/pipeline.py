"""The whole pipeline on the demo: from scratch, with nothing to do, with new labels; imports.

There is no naive form: the figures stand for themselves. Work is done in copies of the project, so
that its own outputs and cache stay as they are. What needs a built demo takes the outputs that the
project has; `make demo` builds them.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import Benchmark, Sample, timed

CODE = ("ovs3d", "stages", "dvc.yaml", "params.yaml", ".dvcignore")
INPUTS = ("data/raw/demo", "data/weights")
STAGES = (
    "code",
    "poses",
    "clip_features",
    "dino_features",
    "reconstruct",
    "distill",
    "evaluate",
    "render",
    "report",
    "summarize",
)
IMPORTS = 3
"""Times that a stage is imported."""
EVERY = 0.1
"""Seconds between two looks at the processes."""
METRICS = Path("data/evaluate/demo/metrics.json")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


class Watch:
    """Looks at the processes below this one: memory together, and which stage is running."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self.stages: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def seconds(self) -> dict[str, float]:
        """Return for how long each stage was seen."""
        return {f"{stage}_s": looks * EVERY for stage, looks in self.stages.items()}

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            megabytes, running = 0.0, set()
            for process in descendants(os.getpid()):
                try:
                    resident = (process / "statm").read_text().split()[1]
                    words = (process / "cmdline").read_text().split("\0")
                # It ended meanwhile.
                except OSError:
                    continue
                megabytes += int(resident) * _PAGE_MB
                running |= {word for word in words if word.startswith("stages.")}
            self.peak_mb = max(self.peak_mb, megabytes)
            self.stages.update(word.removeprefix("stages.") for word in running)


def descendants(root: int) -> list[Path]:
    """Return the folders in /proc of all processes below one."""
    children: dict[int, list[Path]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name before it is in brackets and may hold anything.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(folder)
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += [int(folder.name) for folder in below]
    return found


def dvc(folder: Path, *words: str) -> None:
    """Run DVC in a project; its stages find this environment's Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def unbuilt() -> TemporaryDirectory[str]:
    """A copy of the project as it is cloned."""
    folder = TemporaryDirectory()
    _copy((*CODE, *INPUTS), Path(folder.name))
    dvc(Path(folder.name), "init", "--no-scm", "--quiet")
    return folder


def built() -> TemporaryDirectory[str]:
    """A copy of the project with the outputs of the demo, all up to date."""
    folder = TemporaryDirectory()
    _copy((*CODE, *INPUTS, *(f"data/{stage}" for stage in STAGES[:-1])), Path(folder.name))
    shutil.copy("data/summary.json", Path(folder.name) / "data")
    dvc(Path(folder.name), "init", "--no-scm", "--quiet")
    dvc(Path(folder.name), "commit", "--force", "--quiet")
    return folder


def from_scratch(project: TemporaryDirectory[str]) -> Sample:
    """Build everything."""
    return _watched(Path(project.name), "repro")


def noop(project: TemporaryDirectory[str]) -> Sample:
    """Find that there is nothing to do."""
    return Sample(timed(lambda: dvc(Path(project.name), "repro"), calls=5))


def new_labels(project: TemporaryDirectory[str]) -> Sample:
    """Give the labels in another order and score them."""
    labels = Path(project.name) / "data/raw/demo/segmentations/classes.txt"
    lines = labels.read_text().splitlines(keepends=True)
    labels.write_text("".join([*lines[1:], lines[0]]))
    return _watched(Path(project.name), "repro", "evaluate@demo")


def imports(_: None) -> Sample:
    """Import every stage in a process of its own; the work is their sum."""
    medians = {stage: _import_seconds(f"stages.{stage}") for stage in STAGES}
    notes = {"torch": _import_seconds("torch"), "open_clip": _import_seconds("open_clip")}
    return Sample(sum(medians.values()), notes={**medians, **notes})


def _watched(folder: Path, *words: str) -> Sample:
    start = time.perf_counter()
    with Watch() as watch:
        dvc(folder, *words)
    seconds = time.perf_counter() - start
    miou = json.loads((folder / METRICS).read_text())["miou"]
    notes = {"tree_peak_mb": watch.peak_mb, "miou": miou, **watch.seconds()}
    return Sample(seconds, notes=notes)


def _import_seconds(module: str) -> float:
    command = [sys.executable, "-c", f"import {module}"]
    seconds = []
    for _ in range(IMPORTS):
        start = time.perf_counter()
        subprocess.run(command, check=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _copy(names: tuple[str, ...], folder: Path) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if Path(name).is_dir():
            shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(name, folder / name)


BENCHMARKS = (
    Benchmark(
        name="repro_from_scratch",
        shapes="`dvc repro` of the demo, 30 photos of 640 x 480; tree_peak_mb: of all processes",
        goal="300 s, 4000 MB",
        setup=unbuilt,
        naive=None,
        ours=from_scratch,
        repeats=1,
    ),
    Benchmark(
        name="noop_repro",
        shapes="`dvc repro` of the built demo",
        goal="4 s",
        setup=built,
        naive=None,
        ours=noop,
        repeats=3,
    ),
    Benchmark(
        name="new_labels",
        shapes="`dvc repro evaluate@demo` after a change of the labels: distill and evaluate",
        goal="60 s",
        setup=built,
        naive=None,
        ours=new_labels,
        repeats=1,
    ),
    Benchmark(
        name="imports",
        shapes="`import stages.<name>`, the sum over all stages",
        goal="little beyond torch and open_clip",
        setup=lambda: None,
        naive=None,
        ours=imports,
        repeats=1,
    ),
)
