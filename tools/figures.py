"""Make the figures of the documentation from what is shipped.

    python tools/figures.py

Writes ``docs/demo.png`` (the shipped tracker performing, one moment of each of six clips)
and ``docs/results.md`` (the shipped tracker's card as tables). Needs EGL.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from humanoid.core.errors import HumanoidError
from humanoid.core.paths import shipped_policy
from humanoid.core.runs import atomic_write_text
from humanoid.eval import perturb, recover, report
from humanoid.eval.tracking import CALM, EvalCfg, set_stage
from humanoid.view.video import Renderer, VideoCfg, save_png

DOCS = Path(__file__).resolve().parents[1] / "docs"
MOMENTS = {
    "walk": 0.5,
    "turn_left0": 0.4,
    "turn_left1": 0.7,
    "crawl": 0.5,
    "getup_facedown": 0.6,
    "getup_faceup": 0.65,
}
"""Clip -> share of it at which it is pictured."""
COLUMNS = 3


def main() -> None:
    """Draw the picture and write the tables."""
    checkpoint = shipped_policy("tracker.pt")
    DOCS.mkdir(exist_ok=True)
    save_png(DOCS / "demo.png", picture(str(checkpoint)))
    card = json.loads(Path(checkpoint).with_suffix(".json").read_text())
    atomic_write_text(DOCS / "results.md", results(card))


def picture(checkpoint: str) -> np.ndarray:
    """Return the moments side by side, (H, W, 3) uint8."""
    stage = set_stage(EvalCfg(checkpoint=checkpoint, clips=tuple(MOMENTS), starts=1), event=CALM)
    rollout = stage.play()
    cells = []
    with Renderer(VideoCfg(width=400, height=300), stage.env.body) as film:
        for name, share in MOMENTS.items():
            env = stage.env.library.names.index(name)
            last = int(share * int(rollout.steps[env]))
            for step in range(max(0, last - 50), last, 2):  # the camera settles
                film.frame(rollout.state[step, env], rollout.ref[step, env])
            cells.append(film.frame(rollout.state[last, env], rollout.ref[last, env], name))
    rows = [np.concatenate(cells[i : i + COLUMNS], axis=1) for i in range(0, len(cells), COLUMNS)]
    return np.concatenate(rows, axis=0)


def results(card: dict[str, Any]) -> str:
    """Return the card as a page of Markdown."""
    metrics, gate = card["metrics"], card["gate"]
    lines = [
        "# The shipped tracker",
        "",
        "Made by `python tools/figures.py` from `humanoid/pretrained/tracker.json`; measured by",
        f"`{card['command']}`, {metrics['train']['mujoco']['starts']} seeded starts a clip.",
        "",
        f"- data: {', '.join(card['data'])}",
        f"- {card['samples'] / 1e6:.1f} M control steps in {card['train_seconds']} s on: {card['machine']}",
        f"- {card['note']}",
        "",
        "## The gate",
        "",
        f"Passed: {'yes' if gate['passed'] else 'no'}. " + " · ".join(gate["missed"]),
    ]
    titles = {"train": "Clips to learn", "test": "Clips kept back"}
    for what, title in titles.items():
        for sim, result in metrics.get(what, {}).items():
            lines += ["", f"## {title}, {sim}", "", report.table(result)]
    for sim, result in metrics.get("pushed", {}).items():
        lines += ["", f"## Pushed every second while it walks and runs, {sim}", "", perturb.table(result)]
    for sim, result in metrics.get("recovered", {}).items():
        lines += ["", f"## Getting up after a random fall, {sim}", "", recover.table(result)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        main()
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
