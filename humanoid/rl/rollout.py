"""Playing a policy through clips from given frames, and keeping what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.envs.tracking import TrackingEnv
from humanoid.nn.policy import Policy


@dataclass(frozen=True)
class Rollout:
    """States after each control step and the references they should match.

    Attributes:
        state: leading axes (T, B).
        ref: leading axes (T, B), read before the step that led to ``state``.
        steps: (B,) number of steps that belong to each environment's clip.
    """

    state: BodyState
    ref: BodyState
    steps: Tensor


def play_clips(
    env: TrackingEnv,
    policy: Policy,
    rows: Tensor,
    on_step: Callable[[int, int], None] | None = None,
) -> Rollout:
    """Play every environment from its row to the end of its clip.

    An environment whose clip is over stays on its last frame; its further states do
    not belong to the clip (see ``Rollout.steps``).

    Args:
        env: the task; its configured start perturbation applies, nothing else does.
        policy: mean actions from actor observations.
        rows: (B,) rows of the library to start from.
        on_step: called with (step, total) for progress.
    """
    env.start(rows)
    steps = env.cursor.last - env.cursor.row
    total = int(steps.max())
    states, refs = [], []
    with torch.inference_mode():
        for step in range(total):
            action = policy(env.observe()["actor"])
            ref = env.library.rows(torch.minimum(env.cursor.row + 1, env.cursor.last))
            env.play(action)
            states.append(env.state)
            refs.append(ref)
            if on_step is not None:
                on_step(step + 1, total)
    return Rollout(_stack(states), _stack(refs), steps)


def _stack(states: list[BodyState]) -> BodyState:
    names = BodyState.__dataclass_fields__
    return BodyState(*(torch.stack([getattr(s, name) for s in states]) for name in names))
