"""`python -m tests.inputs FOLDER`: run the cases that FOLDER/make.py writes, and judge each."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.inputs.expected import EXPECTED, STAYS, Expected, judge
from tests.inputs.run import case_names, make_case, make_project, run_case

_LIMIT = 300.0
"""Seconds for one command."""


def main(words: Sequence[str] | None = None) -> int:
    """Return 0 if every case is right; the process's own arguments when `words` is None."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with a make.py that writes cases, or without")
    parser.add_argument("--only", nargs="+", metavar="CASE")
    arguments = parser.parse_args(words)
    cases = arguments.folder.resolve()
    if not (cases / "make.py").is_file():
        print(f"skipped: {cases} has no make.py")
        return 0
    names = arguments.only or case_names(cases)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        make_project(project)
        for name in names:
            verdict = run(cases, name, Path(folder, "cases"), project)
            wrong += not verdict.startswith(("right", "skipped"))
            print(f"{name}: {verdict}", flush=True)
    print(f"{len(names)} cases, {wrong} wrong")
    return 1 if wrong else 0


def run(cases: Path, name: str, out: Path, project: Path) -> str:
    """Make a case, run it, and return a verdict."""
    commands = make_case(cases, name, out)
    if not commands:
        return "skipped (a library is missing)"
    if "query demo" in commands[0] and not (project / "data/lift/demo").exists():
        return "skipped (needs the demo; run `dvc repro lift@demo`)"
    scene = project / "data/raw" / f"in-{name}"
    ended = run_case(commands, project, _LIMIT)
    problem = judge(EXPECTED.get(name, Expected("either")), ended, out / name, scene)
    if problem is None and name in STAYS:
        problem = STAYS[name](out / name, scene)
    return f"right ({ended[-1].last_line[:100]})" if problem is None else f"WRONG: {problem}"


if __name__ == "__main__":
    sys.exit(main())
