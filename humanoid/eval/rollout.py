"""Playing a policy through clips from given frames, and keeping what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState, stack
from humanoid.envs.tracking import TrackingEnv
from humanoid.nn.policy import Policy


@dataclass(frozen=True)
class Rollout:
    """States after each control step and the references they should match.

    Attributes:
        state: leading axes (T, B).
        ref: leading axes (T, B), of the same instants.
        steps: (B,) number of steps that belong to each environment's clip.
    """

    state: BodyState
    ref: BodyState
    steps: Tensor


def perform(
    env: TrackingEnv,
    policy: Policy,
    steps: int,
    keep: Callable[[BodyState, BodyState], None],
    push: Callable[[int], Tensor | None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> None:
    """Play every environment on from where it is; failures are not looked for, nothing is reset.

    Args:
        env: the task, started.
        policy: mean actions from actor observations.
        steps: control steps to play.
        keep: given the state after each step and the reference it should match, leading axis B.
        push: of each step's index, what is added to the roots' twists after it, (B, 6) or None.
        on_step: called with (step, total) for progress.
    """
    with torch.inference_mode():
        for step in range(steps):
            env.play(policy(env.observe()["actor"]), None if push is None else push(step))
            keep(env.state, env.cursor.now())
            if on_step is not None:
                on_step(step + 1, steps)


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
    states: list[BodyState] = []
    refs: list[BodyState] = []

    def keep(state: BodyState, ref: BodyState) -> None:
        states.append(state)
        refs.append(ref)

    perform(env, policy, int(steps.max()), keep, on_step=on_step)
    return Rollout(stack(states), stack(refs), steps)
