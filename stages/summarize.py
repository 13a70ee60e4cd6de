"""Write the table over scenes: every scene's metrics and their mean."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from ovs3d.evaluation.summary import summarize_scenes, table_rows
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
    names, *lines = table_rows(summary)
    table = Table(*names, title="scenes", title_justify="left")
    for line in lines:
        table.add_row(*line)
    plain_console().print(table)
    print(f"pictures: {evaluate}/<scene>/overlays; video and point clouds: data/render/<scene>")


if __name__ == "__main__":
    sys.exit(main())
