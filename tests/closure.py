"""Which modules of the project a module imports, directly or through others, read from source."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("ovs3d", "stages")


def module_file(name: str) -> Path | None:
    """Return the source of a dotted module of the project, relative to its root."""
    stem = Path(*name.split("."))
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate
    return None


@cache
def direct_imports(file: Path) -> frozenset[Path]:
    """Return the project files that a file imports, without following them.

    Importing `a.b.c` also runs the `__init__` of `a` and `a.b`; those that hold code count.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    found: set[Path] = set()
    for name in names:
        parts = name.split(".")
        if parts[0] not in PACKAGES:
            continue
        for length in range(1, len(parts) + 1):
            source = module_file(".".join(parts[:length]))
            if source is not None and (ROOT / source).read_text().strip():
                found.add(source)
    return frozenset(found)


def closure(file: Path) -> set[Path]:
    """Return a file and every project file that importing it runs."""
    seen, waiting = set(), [file]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting += direct_imports(current)
    return seen
