"""Train the small CLIP of the demo kit; run again to go on after an interruption."""

import argparse
import logging
from pathlib import Path

import torch

from tools.models.clip_model import load_weights
from tools.models.clip_training import ClipTask
from tools.models.runs import RunOptions, train
from tools.models.scenes import read_scenes


def main() -> None:
    """Parse the arguments, read the scenes and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=Path, required=True, help="folder of rendered scenes")
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--config", type=Path, default=Path("data/weights/clip/ovs3d-tiny.json"))
    parser.add_argument("--weights", type=Path, help="to write; default: beside the configuration")
    parser.add_argument("--start", type=Path, help="weights to begin with; default: random ones")
    parser.add_argument("--train-seeds", type=int, default=200, help="scenes 0 to this, exclusive")
    parser.add_argument("--hold-out-every", type=int, default=20, help="one scene in so many")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    held_out_seeds = range(options.hold_out_every - 1, options.train_seeds, options.hold_out_every)
    train_seeds = sorted(set(range(options.train_seeds)) - set(held_out_seeds))
    pictures = read_scenes(options.scenes, train_seeds)
    held_out = read_scenes(options.scenes, held_out_seeds)
    logging.info("%d pictures to train on, %d held out", len(pictures), len(held_out))
    weights = options.weights or options.config.with_suffix(".safetensors")
    task = ClipTask(options.config, weights, pictures, held_out, options.batch, options.seed)
    if options.start:
        load_weights(task.state, options.start)
    plan = RunOptions(
        work=options.work,
        steps=options.steps,
        learning_rate=options.learning_rate,
        weight_decay=0.05,
        warmup=min(100, options.steps // 10),
        seed=options.seed,
    )
    train(task, plan)


if __name__ == "__main__":
    main()
