"""Make the cases of a folder and run their commands in a project of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.closure import ROOT

_BUILT = ("raw", "poses", "reconstruct", "lift")
_WITHOUT_RIGHTS = (
    *("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner,-chown"),
    *("--inh-caps", "-all"),
)


@dataclass(frozen=True)
class Ended:
    """What a command printed, and how it ended."""

    command: str
    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """What it said at the end."""
        lines = (self.err if self.code else self.out).strip().splitlines()
        return lines[-1] if lines else ""


def make_project(folder: Path) -> None:
    """Make a project in which scenes can be made: parameters, weights, and what demo has built."""
    (folder / "data/raw").mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "data/weights").symlink_to(ROOT / "data/weights")
    for stage in _BUILT:
        built = ROOT / "data" / stage / "demo"
        if built.exists():
            (folder / "data" / stage).mkdir(exist_ok=True)
            (folder / "data" / stage / "demo").symlink_to(built)


def case_names(cases: Path) -> list[str]:
    """List the cases that a folder's `make.py` knows, by its own words."""
    text = (cases / "make.py").read_text()
    found = text.split("\n@case(")[1:]
    names = [part.split("\ndef ", 1)[1].split("(", 1)[0] for part in found]
    return [name.replace("_", "-") for name in names]


def make_case(cases: Path, name: str, out: Path) -> list[str]:
    """Write a case and return its commands; none if a library that it needs is missing."""
    command = [sys.executable, str(cases / "make.py"), str(out), "--only", name]
    done = subprocess.run(
        [*command, "--repo", str(ROOT)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    lines = (out / "commands.sh").read_text().splitlines()
    if not any(line.startswith(f"# {name}:") for line in lines):
        return []
    start = next(i for i, line in enumerate(lines) if line.startswith(f"# {name}:"))
    return [line for line in lines[start + 1 :] if line.strip()]


def run_case(commands: Sequence[str], project: Path, limit: float) -> list[Ended]:
    """Run the commands of a case.

    A line that begins with # only says how; a line of Python looks at the modules of some version,
    instead of which there are checks.
    """
    told = any("capsh" in line for line in commands)
    return [
        _run(line, project, limit, told and os.geteuid() == 0)
        for line in commands
        if not line.startswith(("#", "python -c"))
    ]


def _run(line: str, project: Path, limit: float, without_rights: bool) -> Ended:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    shell = [*(_WITHOUT_RIGHTS if without_rights else ()), "bash", "-c", line]
    try:
        done = subprocess.run(
            shell,
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended(line, 124, "", f"took more than {limit:.0f} s")
    return Ended(line, done.returncode, done.stdout, done.stderr)
