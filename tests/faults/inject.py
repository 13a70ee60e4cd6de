"""The faults: each disturbs one run of a stage and takes its cause away again."""

import os
import random
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml
from distributed import LocalCluster

from tests.closure import ROOT
from tests.damage import flip_bit
from tests.faults.trial import Ended, Run, Trial, needs
from tests.project import SCENE

Fault = Callable[[Trial, random.Random], tuple[str, Ended]]
"""Disturbs a run; returns when or where, and how the run ended."""
_EARLIEST, _LATEST = 0.05, 0.95


def interrupt(trial: Trial, generator: random.Random) -> tuple[str, Ended]:
    """Press Ctrl-C: the signal goes to DVC and to the stage."""
    return _signal(trial, generator, signal.SIGINT)


def kill(trial: Trial, generator: random.Random) -> tuple[str, Ended]:
    """Kill DVC and the stage, as a power cut does."""
    return _signal(trial, generator, signal.SIGKILL)


def fill_disk(trial: Trial, generator: random.Random) -> tuple[str, Ended]:
    """Let the stage write a random share of its outputs and no more."""
    share = generator.uniform(_EARLIEST, _LATEST)
    if _mounted(trial.outputs, int(share * sum(trial.output_sizes))):
        ended = trial.start().end()
        _unmount(trial.outputs)
        return f"{share:.0%} of the outputs fit", ended
    # Without the right to mount: no file may grow beyond a share of the largest.
    run = trial.start()
    limit = int(share * max(trial.output_sizes))
    for process in run.children():
        resource.prlimit(process, resource.RLIMIT_FSIZE, (limit, limit))
    return f"{share:.0%} of the largest output fits (file size limit)", run.end()


def corrupt_input(trial: Trial, generator: random.Random) -> tuple[str, Ended]:
    """Change one bit of what another stage made and run `dvc repro`, which should mend it."""
    chosen = _flip(trial, generator)
    ended = trial.start().end()
    return _name(trial, chosen), ended


def corrupt_input_alone(trial: Trial, generator: random.Random) -> tuple[str, Ended]:
    """Change one bit of what the stage reads and run it alone, so that DVC cannot mend it."""
    before = {path: path.read_bytes() for path in _inputs(trial)}
    chosen = _flip(trial, generator)
    ended = trial.start("--single-item").end()
    chosen.write_bytes(before[chosen])
    return _name(trial, chosen), ended


def start_twice(trial: Trial, generator: random.Random) -> tuple[str, Ended]:
    """Start `dvc repro` again while the stage runs; what is returned is how the second ended."""
    first = trial.start()
    share = _pass_time(first, trial, generator)
    second = Run(trial.folder, "dvc", "repro", trial.target).end()
    code = first.end().code
    return f"at {share:.0%}, the first ended with {code}", second


def kill_worker(trial: Trial, generator: random.Random) -> tuple[str, Ended]:
    """Kill one of the two worker processes of a cluster on which the stage runs."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        run = trial.start(OVS3D_SCHEDULER=cluster.scheduler_address)
        share = _pass_time(run, trial, generator)
        when = f"at {share:.0%}" if run.running else _missed(share)
        os.kill(cluster.workers[0].process.process.pid, signal.SIGKILL)
        return when, run.end()


UNMENDED = "corrupted input, stage alone"
FAULTS: dict[str, tuple[Fault, int]] = {
    "SIGINT": (interrupt, 1),
    "SIGKILL": (kill, 3),
    "disk full": (fill_disk, 1),
    "corrupted input": (corrupt_input, 1),
    UNMENDED: (corrupt_input_alone, 1),
    "second dvc repro": (start_twice, 1),
    "killed worker": (kill_worker, 1),
}
"""Name -> fault, and how often each stage suffers it."""
MISSED = "after the end"


def applies(fault: str, stage: str) -> bool:
    """Tell whether a stage can suffer a fault."""
    if fault == "corrupted input":
        # Nobody can mend a photo; the stage can only refuse it, which is the next fault.
        return bool(needs(stage))
    return fault != "killed worker" or stage in ("clip_features", "dino_features")


def _signal(trial: Trial, generator: random.Random, number: signal.Signals) -> tuple[str, Ended]:
    run = trial.start()
    share = _pass_time(run, trial, generator)
    when = f"at {share:.0%}" if run.running else _missed(share)
    run.send(number)
    return when, run.end()


def _missed(share: float) -> str:
    return f"{MISSED}, aimed at {share:.0%}"


def _pass_time(run: Run, trial: Trial, generator: random.Random) -> float:
    """Wait for a random share of the time that the stage takes; return the share."""
    share = generator.uniform(_EARLIEST, _LATEST)
    run.wait(share * trial.seconds)
    return share


def _inputs(trial: Trial) -> list[Path]:
    """Return the data files that every run of a stage has to read."""
    body = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][trial.stage]
    deps = [dep.replace("${key}", SCENE) for dep in body.get("do", body)["deps"]]
    no_data = ("data/weights", "data/code")
    data = [dep for dep in deps if dep.startswith("data/") and not dep.startswith(no_data)]
    roots = [trial.folder / dep for dep in data]
    files = [
        path
        for root in roots
        for path in sorted([root] if root.is_file() else root.rglob("*"))
        if path.is_file()
    ]
    # Photos and labels are nobody's output; where there is another input, it is the target. No
    # stage reads pictures and tables that another one wrote for people, nor COLMAP's own files.
    made = [
        path
        for path in files
        if path.relative_to(trial.folder).parts[1] != "raw"
        and path.suffix not in (".png", ".csv")
        and "sfm" not in path.parts
    ]
    return made or files


def _flip(trial: Trial, generator: random.Random) -> Path:
    chosen = generator.choice(_inputs(trial))
    flip_bit(chosen, generator.randrange(1 << 30))
    return chosen


def _name(trial: Trial, path: Path) -> str:
    return path.relative_to(trial.folder / "data").as_posix()


def _mounted(folder: Path, size: int) -> bool:
    """Put a small file system at a folder; False if that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={max(size, 1)}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _unmount(folder: Path) -> None:
    """Take a small file system away, its files stay."""
    kept = folder.with_name(f"{folder.name}-kept")
    shutil.copytree(folder, kept, symlinks=True)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()
    kept.rename(folder)
