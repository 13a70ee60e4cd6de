"""Run benchmarks: `python -m benchmarks [name ...]`, all of them without a name."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.harness import Benchmark, Measurement, all_benchmarks, measure
from benchmarks.report import summarise, write_results


def run(family: Sequence[Benchmark]) -> list[dict[str, Any]]:
    """Measure benchmarks that share `ours` and return their entries for the results.

    Every other time the order is the reverse, so that nothing always comes first.
    """
    first = family[0]
    naive: dict[str, list[Measurement]] = {benchmark.name: [] for benchmark in family}
    ours: list[Measurement] = []
    forms = [b.name for b in family if b.naive is not None] + [None]
    for repeat in range(first.repeats):
        for name in forms[:: -1 if repeat % 2 else 1]:
            if name is None:
                ours.append(measure(first.name, "ours"))
            else:
                naive[name].append(measure(name, "naive"))
    return [summarise(benchmark, naive[benchmark.name], ours) for benchmark in family]


def families(known: Mapping[str, Benchmark], names: Iterable[str]) -> list[list[Benchmark]]:
    """Return the named benchmarks, each with all that share its `ours`."""
    keys = dict.fromkeys(_family(known[name]) for name in names)
    return [[b for b in known.values() if _family(b) == key] for key in keys]


def _family(benchmark: Benchmark) -> str:
    return benchmark.family or benchmark.name


def main(names: list[str]) -> int:
    """Run the named benchmarks and write the results after each."""
    known = all_benchmarks()
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 1
    for family in families(known, names or known):
        entries = run(family)
        write_results(entries, list(known))
        for entry in entries:
            print(
                f"{entry['name']}: naive {entry['naive_s']} s, ours {entry['ours_s']} s, "
                f"ratio {entry['ratio']}; memory {entry['naive_peak_mb']} MB, "
                f"{entry['ours_peak_mb']} MB; difference {entry['max_rel_diff']}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
