"""What `dvc.lock` records of a scene's outputs, and where the files differ from it.

DVC itself goes by size and time of a file, so that neither `dvc status` nor `dvc checkout` sees
a byte that a disk lost; here every file is read.
"""

import fnmatch
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ovs3d.errors import StoreError, one_line

_IGNORED = ".*.tmp"
"""What writers leave behind when they are killed; `.dvcignore` has it too."""


@dataclass(frozen=True)
class Output:
    """A file or folder that a stage of a scene wrote.

    Attributes:
        stage: as DVC addresses it, for example `distill@demo`.
        path: as in `dvc.lock`, relative to the project.
        md5: of the file, or of the list of a folder's files; the latter ends in `.dir`.
        files: how many.
        size: bytes.
    """

    stage: str
    path: str
    md5: str
    files: int
    size: int


def read_lock(path: Path, scene: str) -> dict[str, list[Output]]:
    """Return the recorded outputs of a scene, stage by stage.

    Args:
        path: `dvc.lock`.
        scene: its name.

    Raises:
        StoreError: there is no such file, or it is not one of DVC's.
    """
    try:
        stages = yaml.safe_load(path.read_text())["stages"]
        return {
            name.split("@")[0]: [_output(name, out) for out in entry["outs"]]
            for name, entry in stages.items()
            if name.partition("@")[2] == scene
        }
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file, nothing was built yet; run `dvc repro`") from None
    except (KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
        reason = one_line(error)
        raise StoreError(f"{path}: not readable ({reason}); run `git checkout {path}`") from None


class Project:
    """The folder that holds `dvc.lock`, and DVC's cache, to compare outputs with."""

    def __init__(self, root: Path) -> None:
        """Take the root of the project."""
        self.root = root

    def differences(self, output: Output, advance: Callable[[], None]) -> list[str]:
        """Read an output and say where it differs from what is recorded.

        Args:
            output: to read; it is there.
            advance: called after each file.

        Returns:
            One line per missing, changed or additional file: what is wrong and what to do.
        """
        path = self.root / output.path
        if not output.md5.endswith(".dir"):
            found = _md5(path)
            advance()
            return [] if found == output.md5 else [self._changed(output, output.path, output.md5)]
        actual = {}
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            relative = file.relative_to(path)
            if not any(fnmatch.fnmatch(part, _IGNORED) for part in relative.parts):
                actual[relative.as_posix()] = _md5(file)
                advance()
        if _md5_of_folder(actual) == output.md5:
            return []
        recorded = self._manifest(output.md5)
        if recorded is None:
            return [
                f"{output.path}: a file in it is missing or changed; delete it, then "
                f"`dvc pull {output.path}` or `dvc repro {output.stage}`"
            ]
        return self._compare(output, actual, recorded)

    def _compare(
        self, output: Output, actual: Mapping[str, str], recorded: Mapping[str, str]
    ) -> list[str]:
        lines = []
        for name in sorted(actual.keys() | recorded.keys()):
            path = f"{output.path}/{name}"
            if name not in actual:
                lines.append(f"{path}: is missing; {self._fetch(output, recorded[name])}")
            elif name not in recorded:
                lines.append(f"{path}: is none of the recorded files; delete it")
            elif actual[name] != recorded[name]:
                lines.append(self._changed(output, path, recorded[name]))
        return lines

    def _changed(self, output: Output, path: str, md5: str) -> str:
        # DVC leaves a file alone that looks as old and as long as it should.
        return (
            f"{path}: is not what {output.stage} wrote; delete it, then {self._fetch(output, md5)}"
        )

    def _fetch(self, output: Output, md5: str) -> str:
        """Return how to get a recorded file back."""
        cached = self._cached(md5)
        if cached is None or not cached.is_file():
            return f"`dvc pull {output.path}` or `dvc repro {output.stage}`"
        if _md5(cached) != md5.removesuffix(".dir"):
            return (
                f"delete {cached} (damaged as well), then `dvc pull {output.path}` or "
                f"`dvc repro {output.stage}`"
            )
        return f"`dvc checkout {output.path}`"

    def _manifest(self, md5: str) -> dict[str, str] | None:
        """Return name and MD5 of the files of a recorded folder, if the cache has them."""
        cached = self._cached(md5)
        if cached is None or not cached.is_file() or _md5(cached) != md5.removesuffix(".dir"):
            return None
        return {entry["relpath"]: entry["md5"] for entry in json.loads(cached.read_bytes())}

    def _cached(self, md5: str) -> Path | None:
        return self._cache / "files" / "md5" / md5[:2] / md5[2:] if self._cache else None

    @cached_property
    def _cache(self) -> Path | None:
        """DVC's cache; it can be set in five places, which DVC knows best."""
        command = [sys.executable, "-m", "dvc", "cache", "dir"]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        return Path(done.stdout.strip()) if done.returncode == 0 else None


def _output(stage: str, entry: Mapping[str, Any]) -> Output:
    return Output(stage, entry["path"], entry["md5"], entry.get("nfiles", 1), entry["size"])


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _md5_of_folder(files: Mapping[str, str]) -> str:
    """Return DVC's digest of a folder: the MD5 of the JSON list of its files."""
    listed = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(listed).encode()).hexdigest() + ".dir"
