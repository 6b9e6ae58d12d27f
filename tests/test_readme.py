"""What the README tells people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from humanoid.core.config import load_config
from humanoid.core.paths import data_file
from humanoid.scripts.main import VERBS, main
from humanoid.scripts.train_tracker import TrainCfg

REPOSITORY = Path(__file__).parents[1]
TEXT = (REPOSITORY / "README.md").read_text()
FENCE = re.DOTALL | re.MULTILINE
CODE = [
    *(line for block in re.findall(r"^```\w*\n(.*?)^```", TEXT, FENCE) for line in block.splitlines()),
    *re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", TEXT, flags=FENCE)),
]
"""Lines of code blocks and pieces of code in the text."""
COMMANDS = sorted({code for code in CODE if re.match(r"humanoid [a-z]", code)})
TARGETS = sorted({verb for code in CODE for verb in re.findall(r"^make (\w[\w-]*)", code)})


def test_the_readme_shows_commands() -> None:
    assert "demo" in {shlex.split(command)[1] for command in COMMANDS}
    assert {"demo", "test"} <= set(TARGETS)


def test_the_page_of_commands_has_every_verb() -> None:
    page = (REPOSITORY / "docs" / "commands.md").read_text()
    assert {name for name in VERBS if f"`humanoid {name}" in page} == set(VERBS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` behind the words of a command prints the help only where they are accepted."""
    words = shlex.split(command, comments=True)[1:]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"humanoid {words[0]}" in shown
    for option in (word for word in words if word.startswith("--")):
        assert option in shown


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("humanoid train track")])
def test_training_command_names_a_configuration_and_its_keys(command: str) -> None:
    config, *overrides = shlex.split(command)[3:]
    load_config(TrainCfg, data_file("cfg", config), overrides)


@pytest.mark.parametrize("target", TARGETS)
def test_make_target_exists(target: str) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert re.search(rf"^\.PHONY:.*\b{target}\b", makefile, re.MULTILINE)


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"(?<!!)\[[^]]*\]\(([^)#]+)\)", TEXT):
        assert target.startswith("http") or (REPOSITORY / target).exists(), target
    for code in CODE:
        if re.fullmatch(r"(cfg|motions|tests|humanoid)/[\w/.]*", code):
            assert (REPOSITORY / code).exists(), code
