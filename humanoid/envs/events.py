"""Disturbances: perturbed starts, pushes, latency and randomised physics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.constraints import Checked, NonNegativeRange, PositiveRange
from humanoid.sim.protocol import PhysicsChange
from humanoid.spatial import rotation as rot

Range6 = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class EventCfg(Checked):
    """Perturbed starts, pushes and randomised physics (arXiv 2508.08241, Tables S3-S4)."""

    start_pose: Range6 = (0.05, 0.05, 0.01, 0.1, 0.1, 0.2)
    """Half-widths of the start's x, y, z [m], roll, pitch, yaw [rad]."""
    start_twist: Range6 = (0.5, 0.5, 0.2, 0.52, 0.52, 0.78)
    """Half-widths of the start's velocity [m/s] and angular velocity [rad/s]."""
    start_joints: float = 0.1
    """Half-width of the start's joint angles [rad]."""
    push_seconds: NonNegativeRange = (1.0, 3.0)
    """Shortest and longest time between pushes [s]; (0, 0) switches them off."""
    push_twist: Range6 = (0.5, 0.5, 0.2, 0.52, 0.52, 0.78)
    """Half-widths of what a push adds to the root's twist."""
    friction: PositiveRange = (0.3, 1.2)
    """Range of the floor's friction; (1, 1) leaves the simulator's own."""
    com_offset: tuple[float, float, float] = (0.025, 0.05, 0.05)
    """Half-widths of the anchor body's centre of mass [m]."""
    joint_offset: float = 0.01
    """Half-width of a constant error of each joint's zero [rad]."""
    mass: PositiveRange = (1.0, 1.0)
    """Range of a factor on all masses."""
    gains: PositiveRange = (1.0, 1.0)
    """Range of a factor on stiffness and damping."""
    latency: NonNegativeRange = (0.0, 0.0)
    """Shortest and longest time until a command reaches the servos [s]."""

    @property
    def varies_physics(self) -> bool:
        """Whether the simulator must take physics per environment."""
        ranges = (self.friction, self.mass, self.gains)
        return any(bounds != (1.0, 1.0) for bounds in ranges) or any(self.com_offset)


def uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return numbers in [-1, 1)."""
    return 2.0 * torch.rand(shape, generator=generator, device=generator.device) - 1.0


def perturbed_start(ref: BodyState, limits: Tensor, cfg: EventCfg, generator: torch.Generator) -> BodyState:
    """Return the reference with noise on root and joints, joints kept in their limits.

    Args:
        ref: leading axis B.
        limits: (D, 2) [rad].
        cfg: half-widths.
        generator: of the device of ``ref``.

    Returns:
        Joints and, as its only body, the root: what :meth:`Simulator.reset` reads.
    """
    return disturbed(ref, limits, start_noise(ref, cfg, generator))


def start_noise(ref: BodyState, cfg: EventCfg, generator: torch.Generator) -> Tensor:
    """Draw what :func:`disturbed` adds to ``ref``. (B, 12 + D)."""
    count, joints = ref.joint_pos.shape
    widths = (*cfg.start_pose, *cfg.start_twist, *(cfg.start_joints,) * joints)
    return uniform((count, len(widths)), generator) * _on_device(widths, generator.device)


def disturbed(ref: BodyState, limits: Tensor, noise: Tensor) -> BodyState:
    """Return ``ref`` with ``noise (B, 12 + D)`` on root pose, root twist and joints; see above."""
    place, turn, lin, ang, bend = noise.split((3, 3, 3, 3, noise.shape[-1] - 12), dim=-1)
    quat = rot.normalize(rot.mul(rot.exp(turn), ref.root_quat_w))
    return BodyState(
        joint_pos=(ref.joint_pos + bend).clamp(limits[:, 0], limits[:, 1]),
        joint_vel=ref.joint_vel,
        body_pos_w=(ref.root_pos_w + place).unsqueeze(1),
        body_quat_w=quat.unsqueeze(1),
        body_lin_vel_w=(ref.root_lin_vel_w + lin).unsqueeze(1),
        body_ang_vel_w=(ref.root_ang_vel_w + ang).unsqueeze(1),
    )


@lru_cache(maxsize=16)
def _on_device(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return a tensor made once: a copy to a GPU in every step would wait for it."""
    return torch.tensor(values, device=device)


class PushTimer:
    """Pushes each environment after random times."""

    def __init__(self, cfg: EventCfg, num_envs: int, dt: float, generator: torch.Generator) -> None:
        """Draw the first waiting times."""
        self.cfg, self.dt, self.generator = cfg, dt, generator
        self.enabled = cfg.push_seconds[1] > 0.0
        self._left = self._wait(num_envs)
        self._width = torch.tensor(cfg.push_twist, device=generator.device)

    def step(self) -> Tensor:
        """Advance one control period; return what to add to the root's twist, (B, 6)."""
        self._left = self._left - self.dt
        due = self._left <= 0.0
        count = len(due)
        self._left = torch.where(due, self._wait(count), self._left)
        return uniform((count, 6), self.generator) * self._width * due.unsqueeze(-1)

    def _wait(self, count: int) -> Tensor:
        low, high = self.cfg.push_seconds
        draw = torch.rand(count, generator=self.generator, device=self.generator.device)
        return low + (high - low) * draw


class CommandDelay:
    """Latency between a command and the servo, drawn for each environment at every reset.

    A period within which a new target arrives is given the mean of old and new target, weighted by their
    shares of the period: a servo is linear in its target, so its impulse is the same (up to torque
    limits), in any simulator and for one interpolation.
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


def random_physics(cfg: EventCfg, num_envs: int, com_body: str, generator: torch.Generator) -> PhysicsChange:
    """Draw physics for every environment; what ``cfg`` switches off is None."""

    def between(bounds: tuple[float, float]) -> Tensor | None:
        low, high = bounds
        if low == high == 1.0:
            return None
        draw = torch.rand(num_envs, generator=generator, device=generator.device)
        return low + (high - low) * draw

    offset = None
    if any(cfg.com_offset):
        offset = uniform((num_envs, 3), generator) * torch.tensor(cfg.com_offset, device=generator.device)
    return PhysicsChange(
        friction=between(cfg.friction),
        mass_scale=between(cfg.mass),
        com_offset=offset,
        com_body=com_body,
        kp_scale=between(cfg.gains),
        kd_scale=between(cfg.gains),
    )
