"""The meter of the pipeline benchmarks: memory and stages of all processes below its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.cases.pipeline import Watch, descendants

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
# A grandchild that holds 80 MB, says so and waits to be told to end.
HOLD = "import sys; held = bytearray(b'x' * 80_000_000); print('held', flush=True); input()"
PARENT = (
    "import subprocess, sys; "
    f"subprocess.run([sys.executable, '-c', {HOLD!r}, 'stages.distill'], check=True)"
)


def test_memory_and_stage_of_a_grandchild_are_seen() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert len(descendants(os.getpid())) >= 2
        with Watch() as watch:
            while not watch.stages["distill"]:
                time.sleep(0.01)
        child.communicate(b"\n")
    assert 80 < watch.peak_mb < 2000
    assert watch.seconds()["distill_s"] > 0
    assert not any(int(folder.name) == child.pid for folder in descendants(os.getpid()))
