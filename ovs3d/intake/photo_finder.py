"""Which files are meant by the names that a model or a `transforms.json` has for its photos.

Such names come from another machine, another folder or another file system: absolute, with
backslashes, escaped like URLs, in other letter case, accents composed or decomposed, or without a
suffix. Where they do not lead to files as they are, the photos of one folder are looked for
together, so that a photo that was deleted is missing and no namesake elsewhere takes its place.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from ovs3d.errors import SceneError
from ovs3d.intake.photo_files import SUFFIXES, list_photos
from ovs3d.poses.given_poses import natural

# Folders that tools call so, the likelier one first.
_IMAGES = ("images", "input")
# Deeper than any tool puts photos below the folder of a scene.
_MAX_DEPTH = 5
_MAX_FOLDERS = 2000


def find_photos(root: Path, names: Sequence[str], nearby: Path | None = None) -> dict[str, Path]:
    """Find the files of names.

    Args:
        root: folder that the names are relative to, and below which all photos lie.
        names: as the file has them.
        nearby: a folder beside which photos lie, rather than elsewhere below `root`.

    Returns:
        Name -> file; names without one are left out.
    """
    found = {name: path for name in names if (path := _as_told(root, name))}
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        groups[_parts(name)[:-1]].append(name)
    if len(found) == len(set(names)):
        return found
    folders = {folder: _files(folder) for folder in _folders(root)}
    taken = {path.parent for path in found.values()}
    for parent, group in sorted(groups.items(), key=lambda item: -len(item[0])):
        known = {found[name].parent for name in group if name in found}
        hits: dict[Path, dict[str, Path]] = {}
        for folder in known or folders.keys() - taken:
            files = folders.get(folder) or _files(folder)
            here = {name: files[key] for name in group for key in _keys(name) if key in files}
            if here:
                hits[folder] = here
        if hits:
            best = max(hits, key=lambda f: (_tail(parent, f), len(hits[f]), *_rank(f, nearby)))
            taken.add(best)
            found = hits[best] | found
    return {name: found[name] for name in names if name in found}


def photos_beside(photos: Mapping[str, Path]) -> tuple[str, ...]:
    """Name the photos in the folders of some that are none of these."""
    beside: set[Path] = set()
    for folder in {photo.parent for photo in photos.values()}:
        # Those that are meant may be of a type that cannot be read.
        with suppress(SceneError):
            beside |= {*list_photos(folder)}
    return tuple(sorted(path.name for path in beside - {*photos.values()}))


def _as_told(root: Path, name: str) -> Path | None:
    for text in dict.fromkeys((name, name.replace("\\", "/"), unquote(name))):
        path = root / text.strip()
        for candidate in (path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)):
            # Unlike `is_file` of a path, also if the name is too long for the file system.
            if path.name and "\0" not in text and os.path.isfile(candidate):  # noqa: PTH113
                return candidate
    return None


def _parts(name: str) -> tuple[str, ...]:
    parts = _folded(unquote(name).replace("\\", "/").strip()).split("/")
    return tuple(part for part in parts if part not in ("", ".", ".."))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _keys(name: str) -> tuple[str, ...]:
    """Return what a file of this name may be called, the likeliest last, so that it counts."""
    last = _parts(name)[-1:] or ("",)
    stem = last[0].rpartition(".")[0] if last[0].endswith(SUFFIXES) else last[0]
    return stem, last[0]


def _files(folder: Path) -> dict[str, Path]:
    """Map the names of a folder's files to them, and stems where these are of one photo."""
    stems: dict[str, list[Path]] = defaultdict(list)
    files = {}
    for path in sorted(folder.iterdir()):
        name = _folded(path.name)
        if not name.startswith("."):
            files[name] = path
            if name.endswith(SUFFIXES):
                stems[name.rpartition(".")[0]].append(path)
    return {stem: paths[0] for stem, paths in stems.items() if len(paths) == 1} | files


def _folders(root: Path) -> list[Path]:
    """List a folder and those below it, not too deep and not too many."""
    listed = []
    for place, below, _ in os.walk(root):
        folder = Path(place)
        below[:] = sorted(name for name in below if not name.startswith("."))
        if len(folder.relative_to(root).parts) >= _MAX_DEPTH:
            below.clear()
        listed.append(folder)
        if len(listed) >= _MAX_FOLDERS:
            break
    return listed


def _tail(parent: tuple[str, ...], folder: Path) -> int:
    """Return how many of the last folders are the same."""
    own = tuple(_folded(part) for part in folder.parts)
    length = 0
    while length < min(len(parent), len(own)) and parent[-1 - length] == own[-1 - length]:
        length += 1
    return length


def _rank(folder: Path, nearby: Path | None) -> tuple[int, int, int, list[tuple[int, str]]]:
    """Prefer what is beside a folder, is called as photos are, lies high, and is the largest."""
    shared = len(Path(os.path.commonpath([folder, nearby])).parts) if nearby else 0
    wanted = _IMAGES
    # Photos of a model that is still distorted are those before they were undistorted.
    if nearby and "distorted" in nearby.parts:
        wanted, shared = _IMAGES[::-1], 0
    named = -wanted.index(folder.name) if folder.name in wanted else -len(wanted)
    backwards = [(-number, text) for number, text in natural(folder.name)]
    return shared, named, -len(folder.parts), backwards
