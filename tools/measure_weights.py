"""Measure both demo models on unseen scenes; write the report and two figures."""

import argparse
import logging
from pathlib import Path

import torch

from ovs3d.files import write_json
from tools.models.measure import draw_figures, load_models, measure
from tools.models.scenes import read_scenes


def main() -> None:
    """Parse the arguments, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=Path, required=True, help="folder of rendered scenes")
    parser.add_argument("--weights", type=Path, default=Path("data/weights"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--last-seed", type=int, default=1011)
    parser.add_argument("--figure-seed", type=int, default=1003)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(options.threads)
    seeds = range(options.first_seed, options.last_seed + 1)
    pictures = read_scenes(options.scenes, seeds)
    missing = set(seeds) - {picture.seed for picture in pictures}
    if missing:
        parser.error(f"{options.scenes} lacks the scenes {sorted(missing)}")
    models = load_models(options.weights)
    report = measure(models, pictures, options.weights)
    write_json(options.weights / "report.json", report)
    shown = next(picture for picture in pictures if picture.seed == options.figure_seed)
    draw_figures(models, shown, options.images)
    for name, value in report.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
