"""Run benchmarks: `python -m benchmarks [name ...]`, all of them without a name."""

import sys
from collections.abc import Callable

from benchmarks.harness import Benchmark, FormName, Measurement, all_benchmarks, measure
from benchmarks.report import summarise, write_results


def run(
    benchmark: Benchmark, measure: Callable[[str, FormName], Measurement] = measure
) -> dict[str, object]:
    """Measure both forms in turn, by `measure`, and return the entry for the results.

    Every other time the order is the reverse, so that neither always comes first.
    """
    forms: tuple[FormName, ...] = ("ours",) if benchmark.naive is None else ("naive", "ours")
    found: dict[FormName, list[Measurement]] = {"naive": [], "ours": []}
    for repeat in range(benchmark.repeats):
        for form in forms[:: -1 if repeat % 2 else 1]:
            found[form].append(measure(benchmark.name, form))
    return summarise(benchmark, found["naive"], found["ours"])


def main(names: list[str]) -> int:
    """Run the named benchmarks and write the results after each."""
    known = all_benchmarks()
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names or known:
        entry = run(known[name])
        write_results([entry], list(known))
        print(
            f"{name}: naive {entry['naive_s']} s, ours {entry['ours_s']} s, "
            f"ratio {entry['ratio']}; memory {entry['naive_peak_mb']} MB, "
            f"{entry['ours_peak_mb']} MB; difference {entry['max_rel_diff']}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
