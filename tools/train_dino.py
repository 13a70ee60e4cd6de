"""Train the small DINO of the demo kit; run again to go on after an interruption."""

from pathlib import Path

from tools.models.command import read_pictures, run, training_parser
from tools.models.dino_training import DinoTask


def main() -> None:
    """Parse the arguments, read the scenes and train."""
    parser = training_parser(__doc__, steps=1600, batch=16, learning_rate=1e-3)
    parser.add_argument("--weights", type=Path, default=Path("data/weights/dino"))
    options = parser.parse_args()
    task = DinoTask(options.weights, *read_pictures(options), options.batch, options.seed)
    run(task, options, weight_decay=0.04)


if __name__ == "__main__":
    main()
