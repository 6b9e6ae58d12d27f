"""Paths, names, commands and links in ``docs/`` and CHANGELOG exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from humanoid.scripts.main import main

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
GLOSSARY = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (REPOSITORY / "docs" / "glossary.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| term")
]
ROOMS = {path.name for path in (REPOSITORY / "humanoid").iterdir() if path.is_dir()}


def _code(page: Path) -> list[str]:
    """Return lines of code blocks (continuations joined) and pieces of inline code."""
    text = page.read_text().replace("\\\n", "")
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [line for block in blocks for line in block.splitlines()] + inline


COMMANDS = sorted({code for page in PAGES for code in _code(page) if re.match(r"humanoid [a-z]+ ?", code)})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_paths_exist(page: Path) -> None:
    missing = []
    for code in _code(page):
        if re.fullmatch(r"(humanoid|tests|tools|cfg|motions|docs|examples)/[\w/.-]*", code):
            found = (REPOSITORY / code).exists()
        elif re.fullmatch(r"\w+/(\w+/)*(\w+\.py)?", code) and code.split("/")[0] in ROOMS:
            found = (REPOSITORY / "humanoid" / code).exists()
        else:
            continue
        if not found:
            missing.append(code)
    text = page.read_text()
    links = re.findall(r"\[[^]]*\]\(([^)#:]+)\)", text)
    missing += [link for link in links if not (page.parent / link).exists()]
    assert not missing, missing


FIELDS = set(
    re.findall(
        r"^    (\w+): ",
        "\n".join(path.read_text() for path in (REPOSITORY / "humanoid").rglob("*.py")),
        re.MULTILINE,
    )
)
"""Fields of all classes of the package."""
FILE = re.compile(r"\.(pt|npz|npy|json|yaml|md|mp4|html|onnx|bvh|py)$")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_configuration_keys_exist(page: Path) -> None:
    """``a.b: value`` in the text is a field of some configuration."""
    keys = [code.split(":")[0] for code in _code(page) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+(: \S.*)?", code)]
    keys = [key for key in keys if not FILE.search(key) and key.split(".")[0] != "humanoid"]
    unknown = [key for key in keys if not set(key.split(".")) <= FIELDS]
    assert not unknown, unknown


@pytest.mark.parametrize("row", GLOSSARY, ids=lambda row: row[0])
def test_a_term_names_its_definition(row: list[str]) -> None:
    assert len(row) == 4 and row[1]
    codes = re.findall(r"`([^`]+)`", row[2])
    assert codes, "no place in the code"
    paths = [REPOSITORY / "humanoid" / code for code in codes if "/" in code]
    assert all(path.exists() for path in paths)
    text = "\n".join(path.read_text() for path in paths if path.is_file())
    for name in (code for code in codes if "/" not in code):
        assert re.search(rf"^(class|def) {name}\b|^{name}\b.*=", text, re.MULTILINE), name


def _resolves(name: str) -> bool:
    """Whether a dotted name is a module of the package, or is written in one."""
    path, parts = REPOSITORY, name.split(".")
    while parts and ((path / parts[0]).is_dir() or (path / f"{parts[0]}.py").is_file()):
        path /= parts.pop(0)
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return not parts or (len(parts) == 1 and re.search(rf"\b{parts[0]}\b", file.read_text()) is not None)


def test_the_changelog_names_new_places_that_exist() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    cells = [line.split("|")[2] for line in text.splitlines() if line.startswith("  | `humanoid")]
    assert cells
    for name in re.findall(r"`(humanoid[\w.{},]+)`", " ".join(cells)):
        stem, _, last = name.partition("{")
        names = [stem + part for part in last.rstrip("}").split(",")] if last else [stem]
        assert all(_resolves(name) for name in names), name


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command, comments=True)[1:]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for option in (word for word in words if word.startswith("--")):
        assert option in shown
