"""Measured against the naive form: `python -m benchmarks [name ...]`, or `make bench` for all.

To add benchmarks, write one file `benchmarks/cases/<topic>.py` with a tuple `BENCHMARKS` of
`harness.Benchmark`; the runner finds it by itself. A benchmark has

- `setup()`: makes the inputs that both forms share, deterministically; it runs in every child
  process before the clock and the memory meter start;
- `ours(inputs)` and `naive(inputs)`: do the work and return a `Sample` with the seconds that it
  took (`harness.timed` measures repeated calls), the tensors to compare (loss, gradients) and, if
  wanted, further figures as `notes`. `naive` may be None where there is nothing to compare with.

Naive forms that tests use as oracles as well belong in `benchmarks/naive/`, written as plainly as
the paper states them. Every form runs in a process of its own, in turn (naive, ours, ours, naive,
...), `repeats` times, with the same environment; the medians count. Peak memory is what the
process's resident set grows beyond its size after `setup`. Results go to `benchmarks/results.json`
and `benchmarks/RESULTS.md`; naming some benchmarks replaces only their entries.

How a stage grows with what drives it is measured by `python -m benchmarks.scaling [stage ...]`; see
there for adding a curve.
"""
