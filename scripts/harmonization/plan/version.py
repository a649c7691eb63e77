"""A hash of what a job's code does, because other code may give other results.

Snakemake sees a rule's own text, but not what its command imports. With this hash as a parameter
of the rule, a changed network is trained again, but a changed figure is only drawn again.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from harmonization.files import InputError, read_text

PACKAGE = "harmonization"


def code_version(scripts: Path, command: str, modules: Iterable[str] = ()) -> str:
    """Hash a command, every library module that it imports, directly or not, and `modules`.

    Comments, layout, docstrings and the texts of ``raise`` do not count.

    Parameters
    ----------
    scripts : Path
        Folder of the commands and of the library.
    command : str
        Name of a command in it.
    modules : iterable of str
        Modules that the command imports by a name in its input, such as the networks of a method.
    """
    hashed: dict[Path, str] = {}
    waiting = [scripts / f"{command}.py", *(_file_of(scripts, module) for module in modules)]
    while waiting:
        path = waiting.pop()
        if path not in hashed:
            hashed[path], imported = _read(path)
            waiting += [file for name in imported if (file := _file_of(scripts, name)).exists()]
    content = "".join(hashed[path] for path in sorted(hashed))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def imported_modules(path: Path) -> list[str]:
    """Names within this package that a module imports; some may be functions, not modules."""
    return _read(path)[1]


def read_code(path: Path) -> ast.Module:
    """Parse a module.

    Raises
    ------
    InputError
        If it is no Python.
    """
    try:
        return ast.parse(read_text(path))
    except SyntaxError as error:
        raise InputError(
            f"{path}: line {error.lineno}: is no Python ({error.msg}); correct it"
        ) from None


def _file_of(scripts: Path, module: str) -> Path:
    return scripts / f"{module.replace('.', '/')}.py"


@cache
def _read(path: Path) -> tuple[str, list[str]]:
    """Code of a module without its texts, and the names that it imports from this package."""
    tree = read_code(path)
    imported = []
    for node in ast.walk(tree):
        _drop_texts(node)
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise InputError(
                f"{path}: line {node.lineno}: a job's version does not follow a relative import; "
                f"import from {PACKAGE} by the whole name"
            )
        elif isinstance(node, ast.ImportFrom):
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return ast.dump(tree), [name for name in imported if name.split(".")[0] == PACKAGE]


def _drop_texts(node: ast.AST) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
        del node.body[0]
    if isinstance(node, ast.Raise):
        _WithoutTexts().visit(node)


class _WithoutTexts(ast.NodeTransformer):
    """Empty every string in an expression."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:  # noqa: ARG002
        return ast.Constant("")


def refuse_code_in_packages(scripts: Path) -> None:
    """Refuse code in the ``__init__.py`` of a package, which no job's version follows.

    Raises
    ------
    InputError
        Names the file.
    """
    for package in sorted((scripts / PACKAGE).rglob("__init__.py")):
        tree = read_code(package)
        if len(tree.body) > (ast.get_docstring(tree) is not None):
            raise InputError(
                f"{package}: holds code, which a job's version does not follow; move it to a module"
            )
