"""What keeps the package readable, as limits that only a conscious change can move."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "humanoid"
FILES = sorted(ROOT.rglob("*.py"))
MAX_FILE, MAX_FUNCTION = 400, 100
PRINTING = ("__main__.py", "scripts/")
VAGUE = {"utils", "util", "common", "helpers", "misc"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _is_setter(node: Documented) -> bool:
    """Whether a method is the second half of a property, whose getter has the docstring."""
    return any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in node.decorator_list)


def _public(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Documented]]:
    """Yield the public classes, functions and methods below a node."""
    for child in node.body:
        if isinstance(child, Documented) and not child.name.startswith("_") and not _is_setter(child):
            yield f"{prefix}{child.name}", child
            if isinstance(child, ast.ClassDef):
                yield from _public(child, f"{prefix}{child.name}.")


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_file(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    problems = []
    if len(text.splitlines()) > MAX_FILE:
        problems.append(f"more than {MAX_FILE} lines")
    if not ast.get_docstring(tree):
        problems.append("the module has no docstring")
    problems += [f"{name}: no docstring" for name, node in _public(tree, "") if not ast.get_docstring(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                problems.append(f"{node.name}: {length} lines, at most {MAX_FUNCTION}")
        prints = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if prints and not _name(path).startswith(PRINTING):
            problems.append(f"line {node.lineno}: print")
    problems += [f"unfinished: {found.group()}" for found in UNFINISHED.finditer(text)]
    assert not problems, f"{_name(path)}: " + "; ".join(problems)


def test_every_folder_is_a_package_with_a_telling_name() -> None:
    for path in FILES:
        assert not VAGUE & {path.stem, *path.relative_to(ROOT).parts}, path
        assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"
