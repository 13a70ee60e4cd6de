"""The benchmark runner: what it finds, what it reports, what it replaces."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import page_cache, report
from benchmarks.__main__ import main, run
from benchmarks.harness import Benchmark, Measurement, Sample, all_benchmarks, timed
from ovs3d.spill import Spill


def measurement(seconds: float, gradient: list[float], peak_mb: float) -> Measurement:
    sample = Sample(seconds, {"gradient": torch.tensor(gradient)}, {"baking s": 2 * seconds})
    return Measurement(sample, peak_mb, total_mb=500 + peak_mb)


def benchmark(name: str) -> Benchmark:
    return Benchmark(name, "2 x 3", "2x", lambda: None, lambda _: Sample(1), lambda _: Sample(1), 3)


def test_summary_has_medians_ratio_largest_memory_and_largest_difference() -> None:
    naive = [measurement(s, [10.0, -20.0], mb) for s, mb in ((4, 90), (6, 100), (50, 80))]
    ours = [measurement(s, [10.0, -20.1], mb) for s, mb in ((1, 10), (3, 9), (2, 8))]
    entry = report.summarise(benchmark("a"), naive, ours)
    assert (entry["naive_s"], entry["ours_s"], entry["ratio"]) == (6, 2, 3)
    assert (entry["naive_peak_mb"], entry["ours_peak_mb"]) == (100, 10)
    assert entry["max_rel_diff"] == pytest.approx(0.1 / 20, rel=1e-3)
    assert entry["ours_notes"] == {"baking s": 4}


def test_a_form_without_a_naive_one_has_no_ratio() -> None:
    entry = report.summarise(benchmark("a"), [], [measurement(1, [1.0], 5)])
    assert entry["naive_s"] is None
    assert entry["ratio"] is None
    assert entry["ours_s"] == 1


def test_writing_replaces_named_entries_and_drops_benchmarks_that_are_gone(tmp_path: Path) -> None:
    def entry(name: str, seconds: float) -> dict[str, object]:
        return report.summarise(benchmark(name), [], [measurement(seconds, [1.0], 5)])

    report.write_results(
        [entry("gone", 1), entry("b", 1), entry("a", 1)], ["gone", "a", "b"], tmp_path
    )
    report.write_results([entry("b", 7)], ["a", "b"], tmp_path)
    written = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [(e["name"], e["ours_s"]) for e in written] == [("a", 1), ("b", 7)]
    table = (tmp_path / "RESULTS.md").read_text()
    assert "| b |" in table
    assert "gone" not in table


def test_what_was_measured_elsewhere_says_where(tmp_path: Path) -> None:
    entries = [report.summarise(benchmark(n), [], [measurement(1, [1.0], 5)]) for n in "abc"]
    here = entries[0]["environment"]
    entries[1]["environment"] = here | {"processor": "abacus", "commit": None}
    entries[1]["load"] = 42.0
    # Entries of an older version have none.
    del entries[0]["load"]
    report.write_results(entries[:2], ["a", "b", "c"], tmp_path)
    report.write_results(entries[2:], ["a", "b", "c"], tmp_path)
    lines = (tmp_path / "RESULTS.md").read_text().splitlines()
    assert any(line.startswith("Where nothing else") and here["torch"] in line for line in lines)
    (other,) = (line for line in lines if line.startswith("**b**"))
    assert "load 42, processor abacus" in other
    assert here["torch"] not in other
    assert not any("processor" in line for line in lines if line.startswith("**c**"))


def test_forms_run_in_alternating_order() -> None:
    measured: list[str] = []

    def measure(_name: str, form: str) -> Measurement:
        measured.append(form)
        return measurement({"naive": 6, "ours": 2}[form], [1.0], 5)

    assert run(replace(benchmark("a"), repeats=3), measure)["ratio"] == 3
    assert measured == ["naive", "ours", "ours", "naive", "naive", "ours"]
    run(replace(benchmark("a"), naive=None, repeats=1), measure)
    assert measured[6:] == ["ours"]


@pytest.mark.skipif(not page_cache.AVAILABLE, reason="reads /proc")
def test_dropped_pages_of_scratch_files_come_from_the_disk_again(tmp_path: Path) -> None:
    spill = Spill(torch.device("cpu"), 0, tmp_path)
    expected = torch.arange(1_000_000)
    (mapped,) = spill.collect([(expected,)])
    before = page_cache.megabytes_read()
    assert torch.equal(mapped, expected)
    assert page_cache.megabytes_read() - before < 1
    page_cache.drop(tmp_path)
    assert torch.equal(mapped, expected)
    # A scratch folder in memory has no disk to come from.
    assert page_cache.megabytes_read() - before > 7 or _in_memory(tmp_path)
    page_cache.drop(tmp_path)
    page_cache.fill(tmp_path)
    before = page_cache.megabytes_read()
    assert torch.equal(mapped, expected)
    assert page_cache.megabytes_read() - before < 1


def _in_memory(folder: Path) -> bool:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [mount for mount in mounts if folder.is_relative_to(mount[0])]
    return max(above, key=lambda mount: len(mount[0]))[1] in ("tmpfs", "overlay")


def test_unknown_benchmark_is_named_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["nonsense"]) == 2
    error = capsys.readouterr().err
    assert "nonsense" in error
    assert "fda_js" in error


def test_every_benchmark_has_a_goal_and_repeats() -> None:
    for found in all_benchmarks().values():
        assert found.goal
        assert found.repeats >= 1


def test_timed_calls_once_per_warmup_and_call() -> None:
    calls: list[int] = []
    assert timed(lambda: calls.append(1), calls=3, warmup=2) >= 0
    assert len(calls) == 5
