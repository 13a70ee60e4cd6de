"""What a result was computed with: the one answer to whether a change of code makes it anew.

DVC's stages, the feature stores and unfinished trainings all ask here; docs/code_identity.md says
why it works as it does. The answer follows from the imports of a file: every module that it reaches
counts, but for those in `NOT_COMPUTING`, and of each module what can change a result (see
`essence`).
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ovs3d.errors import Ovs3dError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ovs3d", "stages")
NOT_COMPUTING: Mapping[str, str] = {
    "ovs3d/errors.py": "messages and exit codes",
    "ovs3d/progress.py": "progress bars and tables on the terminal",
    "ovs3d/identity.py": "decides what counts; nothing is computed with it",
    "ovs3d/params.py": "puts sections together, each of which counts where it is used",
    "ovs3d/features/cluster.py": "carries work to other machines; what they compute it with counts",
    "stages/__init__.py": "Ctrl-C during the imports",
    "stages/_run.py": "command line of the stages; a stage names its arguments itself",
}
"""Modules that no result depends on -> why. Neither they nor their imports count."""
_FILE_NAME = re.compile(r"[\w-]+\.(?!py$)\w+")
_DIGITS = 16


class Sources:
    """The modules of a project, each read once, so that later edits of files do not count.

    Files are given and returned relative to the root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._texts: dict[Path, str] = {}

    def module_file(self, name: str) -> Path | None:
        """Return the file of a dotted module of the project, None if it is none."""
        stem = Path(*name.split("."))
        for file in (stem.with_suffix(".py"), stem / "__init__.py"):
            if file.parts[0] in PACKAGES and (self._root / file).is_file():
                return file
        return None

    def imports(self, file: Path) -> set[Path]:
        """Return the project's files that a file imports, without following them.

        Importing `a.b.c` also runs the `__init__` of `a` and `a.b`; those that hold code count.

        Raises:
            Ovs3dError: the file is no Python or has relative imports.
        """
        found = {self.module_file(name) for name in self._read(file).imports}
        return {source for source in found if source is not None and self._text(source).strip()}

    def closure(self, file: Path, without: Iterable[str] = ()) -> set[Path]:
        """Return a file and every project file that importing it runs.

        Args:
            file: where to begin.
            without: files that are left out and not followed.
        """
        found: set[Path] = set()
        left_out, waiting = {Path(each) for each in without}, [file]
        while waiting:
            current = waiting.pop()
            if current not in found | left_out:
                found.add(current)
                waiting += self.imports(current)
        return found

    def code(self, file: Path) -> dict[str, str]:
        """Return what a result of a module was computed with: files -> digests.

        These are the modules that it reaches, but for `NOT_COMPUTING`, and the data files beside
        them that they name, such as the template of a page.
        """
        found: dict[str, str] = {}
        for module in self.closure(file, NOT_COMPUTING):
            found[module.as_posix()] = self._read(module).digest
            for name in self._read(module).names:
                data = module.parent / name
                if (self._root / data).is_file():
                    found[data.as_posix()] = _digest((self._root / data).read_bytes())
        return dict(sorted(found.items()))

    def _text(self, file: Path) -> str:
        if file not in self._texts:
            self._texts[file] = (self._root / file).read_text(encoding="utf-8")
        return self._texts[file]

    def _read(self, file: Path) -> "_Module":
        try:
            return _read(self._text(file))
        except SyntaxError as error:
            raise Ovs3dError(f"{file}:{error.lineno}: {error.msg}") from None


@dataclass(frozen=True)
class _Module:
    imports: frozenset[str]
    """Dotted names of all that may be modules."""
    names: frozenset[str]
    """Strings that may be names of files."""
    digest: str


@cache
def _read(text: str) -> _Module:
    tree = ast.parse(text)
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise SyntaxError("relative import; name the package", ("", node.lineno, 0, ""))
            imported |= {str(node.module), *(f"{node.module}.{each.name}" for each in node.names)}
    parts = [name.split(".") for name in imported]
    modules = {".".join(each[:length]) for each in parts for length in range(1, len(each) + 1)}
    essential = essence(tree)
    strings = {node.value for node in ast.walk(essential) if isinstance(node, ast.Constant)}
    names = {text for text in strings if isinstance(text, str) and _FILE_NAME.fullmatch(text)}
    content = json.dumps(_plain(essential)).encode()
    return _Module(frozenset(modules), frozenset(names), _digest(content))


def code_of(file: str) -> dict[str, str]:
    """Return what a module computes with, as `Sources.code` does; it passes its `__file__`."""
    return _running().code(Path(file).resolve().relative_to(ROOT))


def code_digest(file: str) -> str:
    """Return `code_of` a module as one digest."""
    return _digest(json.dumps(code_of(file)).encode())


def listing(code: Mapping[str, str]) -> str:
    """Return code as text, a line per file, for DVC to compare and for people to read."""
    return "".join(f"{digest}  {file}\n" for file, digest in code.items())


def essence(tree: ast.Module) -> ast.Module:
    """Leave of a module what can change a result.

    Comments and formatting are gone with parsing. Docstrings go too, what errors say, and what goes
    to the terminal: calls of `print` and of `ovs3d.progress`, but not the calls in their arguments.
    """
    shown = _imported(tree, "ovs3d.progress") | {"print"}
    errors = {name for name in _imported(tree, "ovs3d.errors") if name.endswith("Error")}
    essential: ast.Module = _Essence(shown, errors).visit(tree)
    return essential


def _imported(tree: ast.Module, module: str) -> set[str]:
    """Return the names that a module imports from another."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {
        each.asname or each.name for node in found if node.module == module for each in node.names
    }


class _Essence(ast.NodeTransformer):
    def __init__(self, shown: set[str], errors: set[str]) -> None:
        self._shown = shown
        self._errors = errors

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if f"{str(node.module).replace('.', '/')}.py" in NOT_COMPUTING else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.AST] | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self._calls_within(node.value) if self._shows(node.value) else self._visit(node)

    def visit_With(self, node: ast.With) -> ast.AST | list[ast.AST]:
        shown = [item for item in node.items if self._shows(item.context_expr)]
        node.items = [item for item in node.items if item not in shown]
        before = self._shown
        self._shown = before | {
            item.optional_vars.id for item in shown if isinstance(item.optional_vars, ast.Name)
        }
        node = self._visit(node)
        self._shown = before
        within = [call for item in shown for call in self._calls_within(item.context_expr)]
        return [*within, *([node] if node.items else node.body)]

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(error)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        error = isinstance(node.func, ast.Name) and node.func.id in self._errors
        return node.func if error else self._visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.Assert(self._visit(node.test))

    def _visit(self, node: Any) -> Any:
        return self.generic_visit(node)

    def _shows(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        while isinstance(node, ast.Call | ast.Attribute):
            node = node.func if isinstance(node, ast.Call) else node.value
        return isinstance(node, ast.Name) and node.id in self._shown

    def _calls_within(self, node: ast.AST) -> list[ast.AST]:
        """Return the calls in the arguments of a call: they may do more than be shown."""
        doing = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
        if isinstance(node, doing) or (isinstance(node, ast.Call) and not self._shows(node)):
            return [self._visit(node)]
        return [call for child in ast.iter_child_nodes(node) for call in self._calls_within(child)]


def _plain(node: Any) -> Any:
    """Return a tree as JSON values, without what is empty: versions of Python differ in that."""
    if isinstance(node, ast.AST):
        fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
        return [type(node).__name__, {name: _plain(value) for name, value in fields.items()}]
    return [_plain(each) for each in node] if isinstance(node, list) else repr(node)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


@cache
def _running() -> Sources:
    return Sources(ROOT)
