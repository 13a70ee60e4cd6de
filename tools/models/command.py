"""What the commands that train a small model share: arguments, pictures, and the run."""

import argparse
import logging
from pathlib import Path

import torch

from tools.models.runs import RunOptions, Task, train
from tools.models.scenes import Picture, read_scenes


def training_parser(
    description: str | None, steps: int, batch: int, learning_rate: float
) -> argparse.ArgumentParser:
    """Return a parser of the common arguments; numbers are defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scenes", type=Path, required=True, help="folder of rendered scenes")
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--train-seeds", type=int, default=200, help="scenes 0 to this, exclusive")
    parser.add_argument("--hold-out-every", type=int, default=20, help="one scene in so many")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser


def read_pictures(options: argparse.Namespace) -> tuple[list[Picture], list[Picture]]:
    """Set up logging and threads; return the pictures to train on and those held out."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    held_out_seeds = range(options.hold_out_every - 1, options.train_seeds, options.hold_out_every)
    train_seeds = sorted(set(range(options.train_seeds)) - set(held_out_seeds))
    pictures = read_scenes(options.scenes, train_seeds)
    held_out = read_scenes(options.scenes, held_out_seeds)
    logging.info("%d pictures to train on, %d held out", len(pictures), len(held_out))
    return pictures, held_out


def run(task: Task, options: argparse.Namespace, weight_decay: float) -> None:
    """Train as the arguments say."""
    plan = RunOptions(
        work=options.work,
        steps=options.steps,
        learning_rate=options.learning_rate,
        weight_decay=weight_decay,
        warmup=min(100, options.steps // 10),
        seed=options.seed,
    )
    train(task, plan)
