"""Plug-ins: networks and classical rivals, each found by the name of its file.

`networks/x.py` holds network x, a class named after the file in CapWords: `multi_stage` holds
`MultiStage`. Its settings are the keyword-only arguments of its constructor; the settings of its
fit in closed form are the keyword-only arguments of its method `solve`. They are read from the
code, so that a wrong setting is refused before anything starts, and without torch.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from harmonization import settings
from harmonization.files import InputError
from harmonization.plan.version import read_code

Schema = dict[str, Any]

LIBRARY = Path(__file__).parents[1]
TYPES: dict[str, Schema] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "None": {"type": "null"},
}
for _name, _annotated in vars(settings).items():
    if len(_arguments := get_args(_annotated)) == 2:
        TYPES[_name] = TYPES[_arguments[0].__name__] | _arguments[1]


@dataclass(frozen=True)
class Plugin:
    """A network or classical rival, as its code describes it.

    Parameters
    ----------
    wing : {'networks', 'classical'}
        Wing that holds it.
    name : str
        Name of its file.
    summary : str
        First line of the class's docstring.
    settings : dict
        JSON schema of the constructor's settings.
    solve : dict or None
        JSON schema of the settings of a fit in closed form; None if the class has none.
    needs_template : bool
        Whether its fit reads the template of its fold: whether the class extends `TemplateModel`.
    needs_fit : bool
        Whether it predicts nothing sensible before a fit: what its class says.
    """

    wing: str
    name: str
    summary: str
    settings: Schema
    solve: Schema | None
    needs_template: bool = False
    needs_fit: bool = False


def module_of(wing: str, name: str) -> str:
    """Module of a plug-in."""
    return f"harmonization.{wing}.{name}"


def class_name(name: str) -> str:
    """Name of the class that a file holds: `multi_stage` holds `MultiStage`."""
    return "".join(word.capitalize() for word in name.split("_"))


def plugin_names(wing: str) -> list[str]:
    """Names of all plug-ins of a wing."""
    return sorted(p.stem for p in (LIBRARY / wing).glob("*.py") if not p.stem.startswith("_"))


@cache
def read_plugin(wing: str, name: str, library: Path = LIBRARY) -> Plugin:
    """Read the description of a plug-in from its code.

    Raises
    ------
    InputError
        If the file does not hold its class, or the type of a setting cannot be checked.
    """
    path = library / wing / f"{name}.py"
    wanted = class_name(name)
    classes = {n.name: n for n in read_code(path).body if isinstance(n, ast.ClassDef)}
    if wanted not in classes:
        raise InputError(f"{path}: holds no class {wanted}; name the class after the file")
    documentation = ast.get_docstring(classes[wanted]) or ""
    methods = {n.name: n for n in classes[wanted].body if isinstance(n, ast.FunctionDef)}
    meanings = _parameters(documentation)
    solve = methods.get("solve")
    return Plugin(
        wing,
        name,
        summary=documentation.split("\n")[0],
        settings=_schema(path, methods.get("__init__"), meanings),
        solve=_schema(path, solve, _parameters(ast.get_docstring(solve) or "")) if solve else None,
        needs_template=_extends_template(classes[wanted], path),
        needs_fit=_needs_fit(classes[wanted], path),
    )


def _extends_template(found: ast.ClassDef, path: Path) -> bool:
    """Whether a class of a plug-in extends `TemplateModel`, or another plug-in that does."""
    bases = {ast.unparse(base).rpartition(".")[2] for base in found.bases}
    return "TemplateModel" in bases or any(p.needs_template for p in _extended(found, path))


def _needs_fit(found: ast.ClassDef, path: Path) -> bool:
    """What a class of a plug-in, or another that it extends, says by its attribute `needs_fit`."""
    for part in found.body:
        targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
        if "needs_fit" in [target.id for target in targets if isinstance(target, ast.Name)]:
            # What its code must find out is left to the fit.
            return isinstance(part.value, ast.Constant) and bool(part.value.value)
        if isinstance(part, ast.FunctionDef) and part.name == "needs_fit":
            return False
    extended = _extended(found, path)
    return all(plugin.needs_fit for plugin in extended) and path.parent.name == "networks"


def _extended(found: ast.ClassDef, path: Path) -> list[Plugin]:
    """Plug-ins whose classes a class of a plug-in extends."""
    bases = {ast.unparse(base).rpartition(".")[2] for base in found.bases}
    others = sorted(p.stem for p in path.parent.glob("*.py") if class_name(p.stem) in bases)
    return [read_plugin(path.parent.name, other, path.parents[1]) for other in others]


def _schema(path: Path, function: ast.FunctionDef | None, meanings: dict[str, str]) -> Schema:
    """JSON schema of a function's keyword-only arguments."""
    arguments = function.args if function else ast.arguments([], [], None, [], [], None, [])
    properties, required = {}, []
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        properties[argument.arg] = {
            **_type_schema(path, argument),
            "description": meanings.get(argument.arg, ""),
        }
        if default is None:
            required.append(argument.arg)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": required,
    }


def _type_schema(path: Path, argument: ast.arg) -> Schema:
    match argument.annotation:
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            items = _type_schema(path, ast.arg(argument.arg, item))
            return {"type": "array", "items": items, "minItems": 1}
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            listed = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            if all(isinstance(choice, ast.Constant) for choice in listed):
                return {"enum": [choice.value for choice in listed]}
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            sides = (_type_schema(path, ast.arg(argument.arg, side)) for side in (left, right))
            return {"anyOf": list(sides)}
        case ast.Name(id=name) if name in TYPES:
            return dict(TYPES[name])
        case ast.Constant(value=None):
            return dict(TYPES["None"])
    raise InputError(
        f"{path}: setting '{argument.arg}' has no type that the configuration check knows; give it "
        f"one of {', '.join(TYPES)}, list[...], Literal[...] or ... | None"
    )


def _parameters(docstring: str) -> dict[str, str]:
    """Meaning of each parameter in a numpydoc docstring, on one line."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n\w+\n-+\n|\Z)", docstring, re.M | re.S)
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else []:
        if line.startswith(" "):
            for name in names:
                meanings[name] = f"{meanings[name]} {line.strip()}".strip()
        elif line:
            names = [name.strip() for name in line.split(":")[0].split(",")]
            meanings |= dict.fromkeys(names, "")
    return meanings
