"""`python -m tests.faults --seed N`: disturb every stage in every way and write a table."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.inject import FAULTS
from tests.faults.report import Outcome, disturb, write_report
from tests.faults.trial import STAGES


def main() -> int:
    """Return 0 if no fault left a trace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="of moments and places")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--out", type=Path, default=Path("faults.json"), help="and .md beside it")
    arguments = parser.parse_args()
    outcomes: list[Outcome] = []

    def told(outcome: Outcome) -> None:
        outcomes.append(outcome)
        write_report(outcomes, arguments.seed, arguments.out)
        state = "good" if outcome.good else "NOT GOOD"
        print(f"{outcome.stage}, {outcome.fault}, {outcome.detail}: {state}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        disturb(arguments.stages, arguments.faults, arguments.seed, Path(folder), told)
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
