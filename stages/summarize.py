"""Write the table over scenes: every scene's metrics and their mean."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from ovs3d.evaluation.summary import METRICS, summarize_scenes, table_rows
from ovs3d.files import write_json
from ovs3d.params import scene_names
from ovs3d.progress import plain_console
from stages._run import PARAMS_FILE, guarded


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code, as `stages._run.run` does for stages of a scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluate", type=Path, help="folder with <scene>/metrics.json")
    parser.add_argument("out", type=Path, help="the JSON file to write")
    arguments = parser.parse_args(argv)
    return guarded(parser.prog, lambda: _summarize(arguments.evaluate, arguments.out))


def _summarize(evaluate: Path, out: Path) -> None:
    summary = summarize_scenes(evaluate, scene_names(PARAMS_FILE))
    write_json(out, summary)
    table = Table("scene", *METRICS, title="scenes", title_justify="left")
    for line in table_rows(summary):
        table.add_row(*line)
    plain_console().print(table)


if __name__ == "__main__":
    sys.exit(main())
