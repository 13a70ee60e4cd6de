"""Write one page about a scene, for the browser: everything that is needed to judge a run."""

import argparse
import sys
from pathlib import Path

from ovs3d.apps.report_inputs import open_report
from ovs3d.apps.report_page import write_report
from ovs3d.params import SceneParams
from ovs3d.progress import summary_table
from stages._run import run


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    page: Path = arguments.out / "report.html"
    folders = (arguments.images, arguments.segmentations, arguments.data)
    size = write_report(open_report(arguments.scene, *folders, params), page)
    summary_table(f"report of {arguments.scene}", {"page": page, "megabytes": size / 1e6})


if __name__ == "__main__":
    sys.exit(run(main, __doc__, paths=("images", "segmentations", "data", "out")))
