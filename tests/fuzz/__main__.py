"""`python -m tests.fuzz`: damage every format 500 times and see that nothing breaks or is lost."""

import argparse
import sys
import time
import traceback

from tests.fuzz.formats import FORMATS
from tests.fuzz.run import fuzz


def main() -> int:
    """Return 0 if everything held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    arguments = parser.parse_args()
    failed, total = 0, 0
    for name in arguments.formats:
        start = time.perf_counter()
        try:
            counts = fuzz(name, arguments.examples, arguments.seed)
        except Exception:
            traceback.print_exc()
            failed += 1
            print(f"{name}: FAILED", flush=True)
            continue
        total += sum(counts.values())
        seconds = time.perf_counter() - start
        told = ", ".join(f"{count} {what}" for what, count in counts.items())
        print(f"{name}: {told}; {seconds:.0f} s", flush=True)
    print(f"{total} inputs, {failed} formats failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
