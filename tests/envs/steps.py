"""Step states of plain tensors, for tests of the terms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies import BodyState
from humanoid.envs import ObservationCfg, Reference, StepState
from humanoid.envs.observations import Observer
from humanoid.spatial import BodySelector


def observed(
    state: BodyState,
    ahead: BodyState,
    action: Tensor,
    default: Tensor,
    anchor: int,
    layout: str = "native",
    bodies: Tensor | None = None,
) -> tuple[Observer, StepState]:
    """Return an observer of a layout and the instant it observes; ``bodies`` are the tracked ones."""
    bodies = torch.arange(state.body_pos_w.shape[1]) if bodies is None else bodies
    parts: Any = SimpleNamespace(anchor=anchor, pick=BodySelector(bodies), default=default)
    step = StepState(state, Reference(ahead=ahead), action, action, parts)
    return Observer(ObservationCfg(layout=layout)), step  # type: ignore[arg-type]


def actor_terms(*args: Any) -> dict[str, Tensor]:
    """Return the actor's terms without noise; arguments of :func:`observed`."""
    observer, step = observed(*args)
    return observer.terms(step)


def critic_terms(state: BodyState, anchor: int, bodies: Tensor, layout: str = "native") -> dict[str, Tensor]:
    """Return the privileged terms."""
    zero = torch.zeros_like(state.joint_pos)
    observer, step = observed(state, state, zero, zero, anchor, layout, bodies)
    return observer.terms(step, privileged=True)
