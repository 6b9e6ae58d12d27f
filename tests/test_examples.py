"""Every example runs as a script, within 40 lines; so do the README's lines and every name of the face."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import synth

REPOSITORY = Path(__file__).parents[1]
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))
CAPTURES = {"01", "02", "03", "04", "07"}
"""Examples that take a capture; the one of this test needs no package of clips."""
PRINTS = {
    "01": "wrote walk.npz and walk.png", "02": "episodes ended", "03": "saved", "04": "mm on average",
    "05": "root height", "06": "'line'", "07": "reward/foot_speed", "08": "saved", "09": "saved",
    "10": "latents of 32 numbers",
}  # fmt: skip


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written capture of a walk."""
    path = tmp_path_factory.mktemp("capture") / "walk.txt"
    synth.write(synth.walk(), path)
    return path


def run(words: list[str], folder: Path) -> str:
    """Run Python in a folder; return its output."""
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, capture: Path, tmp_path: Path) -> None:
    number = path.stem[:2]
    words = [str(path), *([str(capture)] if number in CAPTURES else [])]
    if number == "03":
        words.append("0.1")
    assert PRINTS[number] in run(words, tmp_path)


def test_examples_are_short_and_numbered() -> None:
    assert [path.stem[:2] for path in EXAMPLES] == [f"{number:02d}" for number in range(1, 11)]
    for path in EXAMPLES:
        assert len(path.read_text().splitlines()) <= 40, path.name


def test_the_lines_of_the_readme_run(capture: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    (tmp_path / "walk.txt").write_bytes(capture.read_bytes())
    code = code.replace("walk.bvh", "walk.txt").replace("minutes=20", "minutes=0.05")
    run(["-c", code], tmp_path)
    assert (tmp_path / "runs" / "walk" / "checkpoint.pt").is_file()


def test_the_face_steps_trains_and_plans(capture: Path, tmp_path: Path) -> None:
    """The library in six lines, for an action and a simulator that exist."""
    code = f"""
import torch
import humanoid as hm
motion = hm.load_motion({str(capture)!r}, body="smpl")
env = hm.make_env("tracking", motions=[motion], num_envs=64)
action, sim = torch.zeros(64, env.num_actions), hm.Planner.load("pretrained").simulator()
obs = env.reset(); step = env.step(action); step.obs, step.reward, step.done
hm.train(env, run="runs/walk", minutes=0.05)
agent = hm.Planner.load("pretrained").agent(sim); agent.command([hm.costs.Joystick(velocity=(0.8, 0.0))])
for _ in range(3):
    sim.set_targets(agent.act(sim.state())); sim.step()
print([getattr(hm, name) is not None for name in hm.__all__].count(True) == len(hm.__all__))
"""
    assert run(["-c", code], tmp_path).split()[-1] == "True"
