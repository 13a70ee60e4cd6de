"""One project per trial: built up to a stage, disturbed while the stage runs, then repeated."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import yaml

from ovs3d.files import digest
from tests.closure import ROOT
from tests.project import SCENE

STAGES: tuple[str, ...] = tuple(
    stage for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"] if stage != "code"
)
"""In the order of `dvc.yaml`, in which a stage comes after those that it reads from. Not `code`: it
computes nothing and runs before every other one."""
_POLL_SECONDS = 0.02
_LIMIT_SECONDS = 600
_OWN = re.compile(r"(\w+\.py: |\w*(Error|Interrupt)\b|interrupted)")
# Bars, tables, and lines of DVC that say nothing about what went wrong.
_NOISE = re.compile(r"\s*$|Running stage|> |Use `dvc|To track|\s*git add|.*[\u2500-\u257f]")


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: exit code; negative for the signal that ended it.
        seconds: from the start of the stage's command, or of the program if it did not come to it.
        output: everything that was printed.
    """

    code: int
    seconds: float
    output: str

    @property
    def message(self) -> str:
        """The last line of the stage or of a traceback, DVC's first one if there is none."""
        lines = [line.rstrip() for line in self.output.splitlines() if not _NOISE.match(line)]
        own = [line for line in lines if _OWN.match(line)]
        errors = [line for line in lines if line.startswith("ERROR")]
        return (own[-1:] or errors[:1] or lines[-1:] or [""])[0]

    @property
    def clear(self) -> bool:
        """Whether it was told without a traceback."""
        return "Traceback" not in self.output


class Run:
    """A program that runs in a project, in a process group of its own as in a terminal."""

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        binaries = Path(sys.executable).parent
        path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        self._log = folder / f".log-{time.monotonic_ns()}"
        self._started = time.monotonic()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PATH": path, "PYTHONPATH": str(folder), **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_for_stage(self, name: str) -> None:
        """Wait until DVC has started the command of a stage, or has ended."""
        while self.running and f"Running stage '{name}'" not in self._log.read_text():
            time.sleep(_POLL_SECONDS)
        self._started = time.monotonic()

    def children(self) -> list[int]:
        """Return the processes that it started, directly or not."""
        return [child.pid for child in psutil.Process(self._process.pid).children(recursive=True)]

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program and to all that it started."""
        if self.running:
            os.killpg(self._process.pid, number)

    def end(self) -> Ended:
        """Wait for the end."""
        try:
            code = self._process.wait(_LIMIT_SECONDS)
        finally:
            if self.running:
                os.killpg(self._process.pid, signal.SIGKILL)
        seconds = time.monotonic() - self._started
        output = self._log.read_text(errors="replace")
        self._log.unlink()
        return Ended(code, seconds, output)


@dataclass(frozen=True)
class Trial:
    """A project that is built up to a stage.

    Attributes:
        folder: of the project.
        stage: that is to be disturbed.
        seconds: how long the undisturbed stage took.
        output_sizes: bytes of its files.
    """

    folder: Path
    stage: str
    seconds: float
    output_sizes: tuple[int, ...]

    @property
    def outputs(self) -> Path:
        """The folder that the stage writes to."""
        return output_folder(self.folder, self.stage)

    @property
    def target(self) -> str:
        """What DVC calls the stage."""
        return target(self.stage)

    def start(self, *options: str, **environment: str) -> Run:
        """Start `dvc repro` of the stage and wait until the stage itself runs."""
        run = Run(self.folder, "dvc", "repro", *options, self.target, **environment)
        run.wait_for_stage(self.target)
        return run

    @contextmanager
    def copied(self, folder: Path) -> Iterator["Trial"]:
        """Copy the project, and remove the copy at the end."""
        shutil.copytree(self.folder, folder, symlinks=True)
        try:
            yield replace(self, folder=folder)
        finally:
            shutil.rmtree(folder)


def target(stage: str) -> str:
    """Return DVC's name of a stage."""
    return stage if stage == "summarize" else f"{stage}@{SCENE}"


def output_folder(project: Path, stage: str) -> Path:
    """Return the folder that a stage writes to."""
    return project / "data" / stage


def tree(folder: Path) -> dict[str, str]:
    """Return the digests of all files of a project, hidden ones too, but not of DVC's own."""
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {".dvc", "__pycache__"} & set(path.relative_to(folder).parts)
    }


def needs(stage: str) -> set[str]:
    """Return the stages whose outputs a stage reads, directly or not."""
    body = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    deps = [dep for dep in body.get("do", body)["deps"] if dep.startswith("data/")]
    direct = {dep.split("/")[1] for dep in deps} & set(STAGES)
    return direct.union(*(needs(earlier) for earlier in direct))
