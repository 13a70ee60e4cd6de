"""Write what each stage computes with, for DVC to compare; see docs/code_identity.md."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ovs3d.files import atomic_path
from ovs3d.identity import ROOT, code_of, listing
from stages._run import guarded


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code, as `stages._run.run` does for other stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", help="a key of `scenes` in params.yaml")
    parser.add_argument("out", type=Path, help="folder for <stage>.txt")
    arguments = parser.parse_args(argv)
    return guarded(parser.prog, lambda: _write_listings(arguments.out))


def _write_listings(out: Path) -> None:
    scripts = (ROOT / "stages").glob("[!_]*.py")
    listings = {script.stem: listing(code_of(str(script))) for script in sorted(scripts)}
    with atomic_path(out) as folder:
        folder.mkdir()
        for stage, content in listings.items():
            (folder / f"{stage}.txt").write_text(content)


if __name__ == "__main__":
    sys.exit(main())
