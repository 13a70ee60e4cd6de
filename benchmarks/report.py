"""Figures of both forms side by side, as JSON and as a table."""

import json
import os
import platform
import statistics
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import Benchmark, Measurement
from ovs3d.files import atomic_path, write_json

HERE = Path(__file__).parent
"""Where results are written: `results.json`, `scaling.json` and of both `RESULTS.md`."""
_PACKAGES = ("torch", "numpy", "timm", "open_clip_torch", "zarr", "dvc")
_INTRODUCTION = """\
# Benchmarks

Written by `make bench`; do not edit. Both forms run in turn, each time in a process of its own, on
the same inputs and with the same settings. Seconds are medians over the repeats; CPU seconds are
those of all processors together, on which other work on the machine has little influence. Load is
how many threads wanted a processor when the measurement ended, its own included. Memory is what the
resident set of the process grows at its peak beyond its size after the inputs were loaded, the
largest of the repeats. Difference is the largest of any loss or gradient, relative to the largest
magnitude of that loss or gradient.
"""


def summarise(
    benchmark: Benchmark, naive: Sequence[Measurement], ours: Sequence[Measurement]
) -> dict[str, Any]:
    """Return the entry of a benchmark in the results.

    Args:
        benchmark: which one.
        naive: its measurements; empty where there is no naive form.
        ours: likewise.
    """
    result: dict[str, Any] = {
        "name": benchmark.name,
        "shapes": benchmark.shapes,
        "goal": benchmark.goal,
        "repeats": benchmark.repeats,
        "environment": environment(),
        "load": round(os.getloadavg()[0], 1),
        "naive_s": _seconds(naive),
        "ours_s": _seconds(ours),
        "ratio": None,
        "naive_peak_mb": _largest([m.peak_mb for m in naive]),
        "ours_peak_mb": _largest([m.peak_mb for m in ours]),
        "naive_total_mb": _largest([m.total_mb for m in naive]),
        "ours_total_mb": _largest([m.total_mb for m in ours]),
        "max_rel_diff": None,
        "rel_diff": {},
        "naive_notes": _notes(naive),
        "ours_notes": _notes(ours),
    }
    if naive:
        result["ratio"] = _rounded(result["naive_s"] / result["ours_s"])
        differences = relative_differences(naive[-1].sample.values, ours[-1].sample.values)
        result["rel_diff"] = differences
        result["max_rel_diff"] = max(differences.values(), default=None)
    return result


def relative_differences(
    expected: Mapping[str, Tensor], actual: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return per tensor the largest difference over the largest magnitude of what is expected."""
    return {
        name: _rounded(
            float((actual[name].double() - value.double()).abs().max())
            / max(float(value.double().abs().max()), 1e-30)
        )
        for name, value in expected.items()
        if name in actual
    }


def write_results(
    new: Sequence[Mapping[str, Any]], order: Sequence[str], folder: Path = HERE
) -> None:
    """Replace the entries of the benchmarks that ran, and write JSON and table.

    Args:
        new: entries from `summarise`.
        order: names of all benchmarks that exist; entries of others are dropped.
        folder: of the results.
    """
    _replace(folder / "results.json", "results", new, itemgetter("name"), order)
    write_tables(folder)


def write_curves(
    new: Sequence[Mapping[str, Any]], order: Sequence[tuple[str, str]], folder: Path = HERE
) -> list[Mapping[str, Any]]:
    """Replace the scaling curves that were measured, and write JSON and table.

    Args:
        new: entries of curves.
        order: stage and driver of all curves that exist; entries of others are dropped.
        folder: of the results.

    Returns:
        All entries.
    """
    kept = _replace(folder / "scaling.json", "curves", new, itemgetter("stage", "driver"), order)
    write_tables(folder)
    return kept


def _replace(
    file: Path,
    key: str,
    new: Sequence[Mapping[str, Any]],
    name_of: Callable[[Mapping[str, Any]], Any],
    order: Sequence[Any],
) -> list[Mapping[str, Any]]:
    entries = {name_of(entry): entry for entry in (*_read(file, key), *new)}
    kept = [entries[name] for name in order if name in entries]
    write_json(file, {key: kept})
    return kept


def _read(file: Path, key: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(file.read_text())[key] if file.exists() else []
    return entries


def write_tables(folder: Path) -> None:
    """Write what was measured so far as Markdown."""
    parts = [_INTRODUCTION]
    if entries := _read(folder / "results.json", "results"):
        parts.append(table(entries))
    if curves := _read(folder / "scaling.json", "curves"):
        parts.append(scaling_table(curves))
    with atomic_path(folder / "RESULTS.md") as temporary:
        temporary.write_text("\n".join(parts))


def table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the results as Markdown."""
    usual = _usual(entries)
    lines = [
        f"Where nothing else is said: {_described(usual)}.",
        "",
        "| benchmark | naive s | ours s | ratio | naive MB | ours MB | difference | goal |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        cells = [
            *(_cell(entry[key]) for key in ("naive_s", "ours_s", "ratio")),
            *(_cell(entry[key]) for key in ("naive_peak_mb", "ours_peak_mb", "max_rel_diff")),
        ]
        lines.append(f"| {entry['name']} | {' | '.join(cells)} | {entry['goal']} |")
    for entry in entries:
        repeats = "once" if entry["repeats"] == 1 else f"{entry['repeats']} times"
        # Of the entries without it the load is not known.
        load = f", load {_cell(entry['load'])}" if "load" in entry else ""
        run = f"{repeats}{load}{_unusual(entry, usual)}"
        lines += ["", f"**{entry['name']}**: {entry['shapes']}; {run}."]
        for form in ("naive", "ours"):
            if notes := entry[f"{form}_notes"]:
                figures = ", ".join(f"{name} {_cell(value)}" for name, value in notes.items())
                lines.append(f"{form.capitalize()}: {figures}.")
    return "\n".join(lines) + "\n"


def scaling_table(curves: Sequence[Mapping[str, Any]]) -> str:
    """Return scaling curves as Markdown."""
    usual = _usual(curves)
    lines = [
        "## Scaling",
        "",
        "Written by `python -m benchmarks.scaling`. Growth is how much longer the largest size",
        "takes than the smallest, over how much larger it is: 1 is linear, less is better.",
        f"Where nothing else is said: {_described(usual)}.",
        "",
        "![Time and memory against what drives them](../docs/images/scaling.png)",
        "",
        "| stage | driver | sizes | s | MB | growth | remark |",
        "|---|---|---|---|---|---|---|",
    ]
    for curve in curves:
        numbers = (", ".join(map(_cell, curve[key])) for key in ("values", "seconds", "peak_mb"))
        remark = (curve["remark"] + _unusual(curve, usual)).removeprefix(", ")
        cells = (curve["stage"], curve["driver"], *numbers, _cell(curve["growth"]), remark)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def environment() -> dict[str, Any]:
    """Return what the figures depend on besides the parameters, flat, by name."""
    information = Path("/proc/cpuinfo")
    names = information.read_text().splitlines() if information.exists() else []
    models = [line.split(":")[1].strip() for line in names if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Return the commit of the code, with a plus if it was changed since; None without Git."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return commit + "+" * bool(_git("status", "--porcelain", "--", "*.py", "params.yaml"))
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    command = ["git", *words]
    folder = Path(__file__).parent.parent
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def _usual(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return of every property of the environment the most frequent value; commits all differ."""
    environments = [entry["environment"] for entry in entries]
    names = dict.fromkeys(name for found in environments for name in found if name != "commit")
    return {
        name: Counter(found.get(name) for found in environments).most_common(1)[0][0]
        for name in names
    }


def _described(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items() if value is not None)


def _unusual(entry: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    found = entry["environment"]
    other = {name: found.get(name) or "?" for name in usual if found.get(name) != usual[name]}
    described = _described(other | {"commit": found.get("commit")})
    return f", {described}" if described else ""


def _seconds(measurements: Sequence[Measurement]) -> float | None:
    if not measurements:
        return None
    return _rounded(statistics.median(m.sample.seconds for m in measurements))


def _notes(measurements: Sequence[Measurement]) -> dict[str, float]:
    names = measurements[0].sample.notes if measurements else ()
    return {n: _rounded(statistics.median(m.sample.notes[n] for m in measurements)) for n in names}


def _largest(numbers: Sequence[float]) -> float | None:
    return round(max(numbers), 1) if numbers else None


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"
