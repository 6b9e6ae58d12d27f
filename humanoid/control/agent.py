"""Agents: from a state and a command to servo targets."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from humanoid.bodies.state import BodyState


class Agent(Protocol):
    """A controller of B bodies at the control rate; it knows no simulator."""

    def reset(self, mask: Tensor | None = None) -> None:
        """Forget the past of bodies (B,) bool, all by default."""
        ...

    def act(self, state: BodyState, command: Any = None) -> Tensor:  # noqa: ANN401 - each kind has its own
        """Return servo targets (B, D) [rad] for one control step.

        Args:
            state: of this instant, leading axis B.
            command: what the agent follows from now on; by default its last one.
        """
        ...
