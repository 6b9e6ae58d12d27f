"""Latency between a command and the servo."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class CommandDelay:
    """Servo targets that arrive late, each environment by a time of its own.

    A period in the midst of which a new target arrives is given the mean
    of old and new target, weighted by their shares of the period: a servo is linear in its
    target, so the momentum it gives is the same (up to torque limits), in any simulator
    and at the price of one interpolation. Latencies are drawn anew at every reset.
    """

    def __init__(
        self, seconds: tuple[float, float], dt: float, count: int, joints: int, generator: torch.Generator
    ) -> None:
        """Draw the first latencies.

        Args:
            seconds: shortest and longest latency [s]; (0, 0) switches it off.
            dt: control period [s].
            count: number B of environments.
            joints: number D of joints.
            generator: of the device of the targets.
        """
        self.enabled = seconds[1] > 0.0
        if not self.enabled:
            return
        self._low, self._high = seconds[0] / dt, seconds[1] / dt
        self._generator = generator
        self._sent = torch.zeros(math.ceil(self._high) + 1, count, joints, device=generator.device)
        self.periods = self._draw(count)
        """(B,) latency in control periods."""

    def reset(self, mask: Tensor, joint_pos: Tensor) -> None:
        """Draw new latencies for ``mask (B,)``, whose servos hold ``joint_pos (B, D)``."""
        if self.enabled:
            self._sent = torch.where(mask[:, None], joint_pos, self._sent)
            self.periods = torch.where(mask, self._draw(len(mask)), self.periods)

    def __call__(self, targets: Tensor) -> Tensor:
        """Return what the servos follow in this period, (B, D), where ``targets`` are sent now."""
        if not self.enabled:
            return targets
        self._sent = torch.cat((targets[None], self._sent[:-1]))
        newer = self.periods.floor().clamp(max=len(self._sent) - 2).long()
        picks = torch.stack((newer, newer + 1))[..., None].expand(-1, -1, targets.shape[-1])
        pair = self._sent.gather(0, picks)
        return torch.lerp(pair[0], pair[1], (self.periods - newer)[:, None])

    def _draw(self, count: int) -> Tensor:
        draw = torch.rand(count, generator=self._generator, device=self._generator.device)
        return self._low + (self._high - self._low) * draw
