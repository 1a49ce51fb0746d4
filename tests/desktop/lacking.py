"""What Python has on Linux and not on macOS, as typeshed knows it."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path

import mypy

STUBS = Path(mypy.__file__).parent / "typeshed/stdlib"
MODULES = ("fcntl", "mmap", "os", "resource", "select", "signal", "socket", "time")


def lacking() -> dict[str, list[str]]:
    """By module, the names that this Python has and a Mac's has not."""
    found = {}
    for module in MODULES:
        here = vars(import_module(module))
        only = _names(module, "linux") - _names(module, "darwin")
        found[module] = sorted(name for name in only if name in here)
    return found


def _names(module: str, platform: str) -> set[str]:
    """The names that a stub defines for a platform, for this version of Python."""
    file = STUBS / f"{module}.pyi"
    tree = ast.parse((file if file.exists() else STUBS / module / "__init__.pyi").read_text())
    names: set[str] = set()

    def holds(test: ast.expr) -> bool:
        match test:
            case ast.BoolOp(op=ast.And()):
                return all(map(holds, test.values))
            case ast.BoolOp():
                return any(map(holds, test.values))
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                compared = {"sys.platform": platform, "sys.version_info": sys.version_info[:2]}
                value = compared[ast.unparse(left)]
                operators = {ast.Eq: "__eq__", ast.NotEq: "__ne__",
                             ast.GtE: "__ge__", ast.Lt: "__lt__"}  # fmt: skip
                return bool(getattr(value, operators[type(operator)])(ast.literal_eval(right)))
        raise ValueError(ast.unparse(test))

    def walk(body: list[ast.stmt]) -> None:
        for one in body:
            match one:
                case ast.If():
                    walk(one.body if holds(one.test) else one.orelse)
                case ast.FunctionDef() | ast.ClassDef():
                    names.add(one.name)
                case ast.AnnAssign(target=ast.Name(id=name)):
                    names.add(name)
                case ast.Assign():
                    names.update(each.id for each in one.targets if isinstance(each, ast.Name))
                case ast.ImportFrom():
                    names.update(each.asname or each.name for each in one.names)

    walk(tree.body)
    return names
