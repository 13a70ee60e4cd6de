"""What a benchmark is, and how one form of it is measured in a process of its own."""

import importlib
import json
import pkgutil
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks import cases
from ovs3d.device import keep_freed_memory

FormName = Literal["naive", "ours"]
_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""Written to clear_refs, sets the peak of the resident set to its present size (proc(5))."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What one form did once.

    Attributes:
        seconds: of the work that is compared.
        values: loss, gradients, ...; both forms name the tensors that are compared alike.
        notes: further figures for the reader, such as seconds of a part.
    """

    seconds: float
    values: Mapping[str, Tensor] = field(default_factory=dict)
    notes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A piece of work in its naive form and in ours.

    Attributes:
        name: on the command line and in the results.
        shapes: what the work is done on, for the reader.
        goal: what the figures must be, for the reader.
        setup: makes the inputs that both forms get.
        naive: None where there is nothing to compare with.
        ours: the form that the library has.
        repeats: processes per form.
        keep_memory: whether both forms keep what they free, as stage reconstruct does, instead of
            leaving the allocator as it is.
    """

    name: str
    shapes: str
    goal: str
    setup: Callable[[], Any]
    naive: Callable[[Any], Sample] | None
    ours: Callable[[Any], Sample]
    repeats: int
    keep_memory: bool = False


def kept(benchmark: Benchmark) -> Benchmark:
    """Return the same work with memory kept: what of its ratio is due to the allocator."""
    name, goal = f"{benchmark.name}_kept", "none: shows what the allocator does"
    return replace(benchmark, name=name, goal=goal, keep_memory=True)


@dataclass(frozen=True, eq=False)
class Measurement:
    """A sample and the memory of its process in megabytes (10^6 bytes).

    Attributes:
        sample: what the form returned.
        peak_mb: growth of the resident set beyond its size after `setup`.
        total_mb: largest resident set.
    """

    sample: Sample
    peak_mb: float
    total_mb: float


def all_benchmarks() -> dict[str, Benchmark]:
    """Return the benchmarks of all files in `benchmarks/cases`, by name."""
    found: dict[str, Benchmark] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(cases.__path__)):
        contents = importlib.import_module(f"benchmarks.cases.{module}")
        for benchmark in getattr(contents, "BENCHMARKS", ()):
            assert benchmark.name not in found, benchmark.name
            found[benchmark.name] = benchmark
    return found


def timed(work: Callable[[], Any], calls: int = 1, warmup: int = 1) -> float:
    """Return the median seconds of some calls, after `warmup` calls that do not count."""
    return timed_with_cpu(work, calls, warmup)[0]


def timed_with_cpu(work: Callable[[], Any], calls: int, warmup: int = 1) -> tuple[float, float]:
    """Return the median seconds, and those of all processors together, as `timed` does.

    What processors did for this process counts alone, so that other work on the machine, which
    makes it wait, hardly changes the second figure.
    """
    for _ in range(warmup):
        work()
    seconds, cpu_seconds = [], []
    for _ in range(calls):
        start, cpu_start = time.perf_counter(), time.process_time()
        work()
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    return statistics.median(seconds), statistics.median(cpu_seconds)


def measure(name: str, form: FormName) -> Measurement:
    """Run one form of a benchmark in a child process."""
    return run_child("benchmarks.harness", name, form)


def meter(setup: Callable[[], Any], work: Callable[[Any], Sample]) -> Measurement:
    """Run a form in this process and see how much memory it takes beyond its inputs."""
    inputs = setup()
    before = resident_mb("VmRSS")
    if _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text(_RESET_PEAK)
    sample = work(inputs)
    total = resident_mb("VmHWM")
    return Measurement(sample, total - before, total)


def save_measurement(measurement: Measurement, folder: Path) -> None:
    """Leave a measurement for the parent process."""
    sample = measurement.sample
    figures = {
        "seconds": sample.seconds,
        "notes": dict(sample.notes),
        "peak_mb": measurement.peak_mb,
        "total_mb": measurement.total_mb,
    }
    (folder / "figures.json").write_text(json.dumps(figures))
    values = {name: value.detach().contiguous() for name, value in sample.values.items()}
    save_file(values, folder / "values.safetensors")


def run_child(module: str, *arguments: str) -> Measurement:
    """Run `python -m <module> <arguments> <folder>`, which leaves a measurement in the folder.

    Raises:
        subprocess.CalledProcessError: it failed; its messages went to stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", module, *arguments, folder], check=True)
        figures = json.loads((Path(folder) / "figures.json").read_text())
        values = load_file(Path(folder) / "values.safetensors")
    sample = Sample(figures["seconds"], values, figures["notes"])
    return Measurement(sample, figures["peak_mb"], figures["total_mb"])


def resident_mb(entry: Literal["VmRSS", "VmHWM", "RssAnon"]) -> float:
    """Return the present or the largest resident set of this process, or what is no file's copy."""
    if not _STATUS.exists():  # not Linux: the largest is all there is, in bytes on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(entry))
    return int(line.split()[1]) * 1024 / 1e6


def _child(name: str, form: FormName, folder: Path) -> None:
    benchmark = all_benchmarks()[name]
    work = benchmark.ours if form == "ours" else benchmark.naive
    assert work is not None
    if benchmark.keep_memory:
        keep_freed_memory()
    save_measurement(meter(benchmark.setup, work), folder)


if __name__ == "__main__":
    # Through the module's own name: the classes of `__main__` would be others.
    from benchmarks.harness import _child as child

    child(sys.argv[1], sys.argv[2], Path(sys.argv[3]))  # type: ignore[arg-type]
