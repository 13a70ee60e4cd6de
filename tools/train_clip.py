"""Train the small CLIP of the demo kit; run again to go on after an interruption."""

from pathlib import Path

from tools.models.clip_model import load_weights
from tools.models.clip_training import ClipTask
from tools.models.command import read_pictures, run, training_parser


def main() -> None:
    """Parse the arguments, read the scenes and train."""
    parser = training_parser(__doc__, steps=2000, batch=256, learning_rate=2e-3)
    parser.add_argument("--config", type=Path, default=Path("data/weights/clip/ovs3d-tiny.json"))
    parser.add_argument("--weights", type=Path, help="to write; default: beside the configuration")
    parser.add_argument("--start", type=Path, help="weights to begin with; default: random ones")
    options = parser.parse_args()
    weights = options.weights or options.config.with_suffix(".safetensors")
    pictures = read_pictures(options)
    task = ClipTask(options.config, weights, *pictures, options.batch, options.seed)
    if options.start:
        load_weights(task.state, options.start)
    run(task, options, weight_decay=0.05)


if __name__ == "__main__":
    main()
