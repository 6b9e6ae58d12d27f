"""The package is a directed acyclic graph of subpackages; this file is the drawing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "humanoid"

ROWS = {
    "core": "",
    "spatial": "core",
    "nn": "core",
    "bodies": "core spatial",
    "mocap": "bodies",
    "motion": "bodies",
    "sim": "bodies",
    "view": "motion",
    "diffusion": "spatial nn bodies",
    "retarget": "mocap motion",
    "datasets": "retarget",
    "planning": "diffusion",
    "envs": "motion sim",
    "rl": "nn envs",
    "skills": "datasets rl diffusion",
    "tasks": "datasets envs",
    "control": "tasks skills planning",
    "eval": "control view",
    "export": "skills planning",
    "teleop": "control view",
}
"""What each part stands on; it may also import what those stand on."""


def _closed(part: str) -> frozenset[str]:
    direct = ROWS[part].split()
    return frozenset(direct).union(*(_closed(other) for other in direct))


BELOW = {part: _closed(part) for part in ROWS}
TOP = {"scripts", "__main__.py", "__init__.py", "pretrained"}
"""May import everything."""

OWNER = {
    "genesis": ("sim/genesis_backend.py", "sim/genesis_objects.py"),
    "mujoco": ("bodies/", "sim/scene.py", "sim/mujoco_backend.py", "sim/mujoco_objects.py", "view/video.py"),
    "rsl_rl": ("rl/",),
    "viser": ("view/", "teleop/"),
    "onnx": ("export/",),
    "onnxruntime": ("export/",),
}
"""Third-party module -> the only places that may import it."""


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: use absolute imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def allowed(here: str, name: str) -> bool:
    """Return whether part ``here`` may import ``name`` of ours."""
    if here in TOP:
        return True
    part = name.split(".")[1]
    return part == here or part in BELOW[here]


def test_imports_point_down() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        rel = path.relative_to(ROOT).as_posix()
        here = rel.split("/")[0]
        assert here in TOP or here in BELOW, f"{rel}: no row in the drawing for '{here}'"
        for name in imported(path):
            top = name.split(".")[0]
            if top == "humanoid" and name != "humanoid.__version__" and not allowed(here, name):
                wrong.append(f"{rel} imports {name}")
            if top in OWNER and not rel.startswith(OWNER[top]):
                wrong.append(f"{rel} imports {name}; only {OWNER[top]} may")
    assert not wrong, "\n".join(wrong)


def test_the_drawing_has_no_cycle() -> None:
    for part, below in BELOW.items():
        assert part not in below
        assert all(part not in BELOW[other] for other in below), part


def test_importing_the_package_starts_no_simulator() -> None:
    code = "import sys, humanoid; print([m for m in ('torch', 'genesis', 'mujoco') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
