"""Time and memory of stages against what drives them: `python -m benchmarks.scaling [stage ...]`.

To add curves, give a file in `benchmarks/cases/` a tuple `CURVES` of `Curve`. Every point runs in a
process of its own. Results go to `benchmarks/scaling.json`, the plot to `docs/images/scaling.png`
and a table to `benchmarks/RESULTS.md`; naming stages replaces only their curves.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import cases
from benchmarks.harness import Measurement, Sample, meter, run_child, save_measurement
from benchmarks.report import environment, write_curves

PLOT = Path(__file__).parent.parent / "docs" / "images" / "scaling.png"


@dataclass(frozen=True, eq=False)
class Curve:
    """Seconds and memory of one piece of work at growing sizes.

    Attributes:
        stage: whose work it is.
        driver: what grows, for the reader; unique within the stage.
        values: sizes, increasing.
        setup: makes the inputs of a size.
        work: does the work, as in `Benchmark`.
        remark: what to know about the curve, above all why it grows faster than its driver.
    """

    stage: str
    driver: str
    values: tuple[int, ...]
    setup: Callable[[int], Any]
    work: Callable[[Any], Sample]
    remark: str = ""


def all_curves() -> list[Curve]:
    """Return the curves of all files in `benchmarks/cases`."""
    names = sorted(info.name for info in pkgutil.iter_modules(cases.__path__))
    modules = [importlib.import_module(f"benchmarks.cases.{name}") for name in names]
    return [curve for module in modules for curve in getattr(module, "CURVES", ())]


def measure_curve(curve: Curve, run: Callable[..., Measurement] = run_child) -> dict[str, Any]:
    """Return the entry of a curve in the results, every point measured by `run`.

    `growth` is how much longer the largest size takes than the smallest, over how much larger it
    is: 1 is linear, less is better.
    """
    points = [
        run("benchmarks.scaling", "--point", curve.stage, curve.driver, str(value))
        for value in curve.values
    ]
    seconds = [point.sample.seconds for point in points]
    return {
        "stage": curve.stage,
        "driver": curve.driver,
        "values": list(curve.values),
        "seconds": [float(f"{second:.4g}") for second in seconds],
        "peak_mb": [round(point.peak_mb, 1) for point in points],
        "growth": round(seconds[-1] / seconds[0] * curve.values[0] / curve.values[-1], 3),
        "remark": curve.remark,
        "environment": environment(),
    }


def plot(curves: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw one panel per curve: seconds on the left axis, memory on the right, both from zero."""
    # They would count as memory of what is measured.
    from matplotlib.figure import Figure

    from ovs3d.plots import save_plot

    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * rows), dpi=110, layout="constrained")
    for number, curve in enumerate(curves, start=1):
        left = figure.add_subplot(rows, columns, number)
        right = left.twinx()
        for axis, key, color in ((left, "seconds", "tab:blue"), (right, "peak_mb", "tab:orange")):
            axis.plot(curve["values"], curve[key], "o-", color=color, markersize=3)
            axis.set_ylim(0, 1.15 * max(*curve[key], 1e-9))
            axis.tick_params(axis="y", labelcolor=color, labelsize=7)
        left.tick_params(axis="x", labelsize=7)
        left.set_title(f"{curve['stage']}: {curve['driver']}", fontsize=8)
    figure.supylabel("seconds (blue), MB (orange)", fontsize=8)
    save_plot(figure, path)


def _point(stage: str, driver: str, value: str, folder: str) -> None:
    curve = next(c for c in all_curves() if (c.stage, c.driver) == (stage, driver))
    save_measurement(meter(partial(curve.setup, int(value)), curve.work), Path(folder))


def main(arguments: list[str]) -> int:
    """Measure the curves of the named stages, all without a name."""
    if arguments[:1] == ["--point"]:
        _point(*arguments[1:])
        return 0
    curves = all_curves()
    unknown = set(arguments) - {curve.stage for curve in curves}
    if unknown:
        print(f"no curves of {', '.join(sorted(unknown))}", file=sys.stderr)
        return 1
    for curve in curves:
        if not arguments or curve.stage in arguments:
            entry = measure_curve(curve)
            plot(write_curves([entry], [(each.stage, each.driver) for each in curves]), PLOT)
            print(f"{curve.stage}, {curve.driver}: {entry['values']} {entry['seconds']} s")
    return 0


if __name__ == "__main__":
    # Through the module's own name: the classes of `__main__` would be others.
    from benchmarks.scaling import main as run

    sys.exit(run(sys.argv[1:]))
