"""Bodies without physics and planners without a network, for tests of guided tasks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies import BodyState, Embodiment
from humanoid.control import GuidedAgent, LoopCfg
from humanoid.diffusion import (
    Denoiser,
    DenoiserCfg,
    DiffusionModel,
    Frame,
    Layout,
    Schedule,
    ShardHeader,
    TrajectoryCfg,
    make_header,
)
from humanoid.diffusion.trajectory import POS, VEL
from humanoid.motion import Motion
from humanoid.nn import Checkpoint, Header, digest
from humanoid.planning import Guidance, Keyframes, Plan, Window
from humanoid.planning.costs import Joystick, Waypoint
from humanoid.skills import LatentCfg, LatentModel
from humanoid.skills.model import PROPRIOCEPTION, REFERENCE
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot
from humanoid.spatial.frames import turned
from humanoid.tasks import TaskCfg, TaskContext
from humanoid.tasks.starts import draw_starts, standing

FPS = 50.0
SMALL = {"width": 4, "encoder_hidden": [8], "prior_hidden": [8], "decoder_hidden": [8]}


def gliding(body: Embodiment, seconds: float, speed: float = 0.9, yaw: float = 0.7) -> Motion:
    """Return a standing pose that moves where it faces without a step, which counts as a walk."""
    count = round(seconds * FPS) + 1
    still = standing(body, count, torch.tensor((3.0, -2.0)), yaw)[0]
    way = torch.tensor((torch.tensor(yaw).cos(), torch.tensor(yaw).sin(), 0.0)) * speed
    shift = way * torch.arange(count)[:, None] / FPS
    states = replace(
        still,
        body_pos_w=still.body_pos_w + shift[:, None],
        body_lin_vel_w=still.body_lin_vel_w + way,
    )
    return Motion(
        name="walk",
        fps=FPS,
        joint_names=body.joint_names,
        body_names=body.body_names,
        states=states,
        contact=torch.ones(count, len(body.feet), dtype=torch.bool),
        contact_names=body.feet,
    )


def context(
    body: Embodiment, count: int = 3, ahead: float = 0.0, cfg: TaskCfg | None = None, seed: int = 0
) -> TaskContext:
    """Return starts of ``count`` bodies in a glide of 12 s."""
    motions, generator = (gliding(body, 12.0),), torch.Generator().manual_seed(seed)
    starts = draw_starts(motions, body, TrajectoryCfg().past, count, generator, ahead)
    return TaskContext(cfg or TaskCfg(), body, motions, starts, 1.0 / FPS, seed)


class Floor:
    """A simulator in which bodies keep their pose and glide at the velocity that they are given."""

    def __init__(self, body: Embodiment, count: int) -> None:
        """Put bodies at the origin."""
        self.body, self.num_envs, self.dt, self.device = body, count, 1.0 / FPS, torch.device("cpu")
        self.velocity, self.yaw_rate = torch.zeros(count, 2), torch.zeros(count)
        self.pushed: list[Tensor] = []
        self.now = standing(body, count)[0]

    def state(self) -> BodyState:
        """Return the present state."""
        return self.now

    def reset(self, mask: Tensor, state: BodyState) -> None:
        """Put all bodies into a state."""
        self.now = state

    def set_targets(self, targets: Tensor) -> None:
        """Take velocities and yaw rates (B, 3) of the roots."""
        self.velocity, self.yaw_rate = targets[:, :2], targets[:, 2]

    def push(self, lin_vel_w: Tensor, ang_vel_w: Tensor) -> None:
        """Remember the push."""
        self.pushed.append(lin_vel_w)

    def step(self) -> None:
        """Move roots."""
        still = torch.zeros(self.num_envs, 1)
        velocity = torch.cat((self.velocity, still), dim=-1).unsqueeze(1)
        spin = torch.cat((still, still, self.yaw_rate.unsqueeze(-1)), dim=-1).unsqueeze(1)
        turn, now = rot.exp(spin * self.dt), self.now
        root = now.body_pos_w[:, :1]
        arms = rot.rotate(turn, now.body_pos_w - root)
        self.now = replace(
            now,
            body_pos_w=root + self.dt * velocity + arms,
            body_quat_w=rot.mul(turn.expand_as(now.body_quat_w), now.body_quat_w),
            body_lin_vel_w=velocity + torch.linalg.cross(spin.expand_as(arms), arms),
            body_ang_vel_w=spin.expand_as(arms),
        )


class Glider:
    """A controller whose servo targets (B, 3) are the velocity and yaw rate of its plan, zero without one."""

    def __init__(self, body: Embodiment, layout: Layout) -> None:
        """Begin without a plan."""
        self.layout, self.skills = layout, SimpleNamespace(hold=2, body=body)
        self.tick, self.plan, self._half = 0, None, 0
        self._history = torch.zeros(0)

    @property
    def begins_frame(self) -> bool:
        """Whether the present step begins a frame."""
        return self._half == 0

    def reset(self, mask: Tensor | None = None, history: BodyState | None = None) -> None:
        """Begin where a history ends."""
        assert history is not None
        self.tick, self.plan, self._half = 0, None, 0
        self._history, self._fresh = self.layout.features(history, self.skills.body), True

    def observe(self, state: BodyState) -> None:
        """Take the present state."""
        self._state = state
        if self._half == 0 and not self._fresh:
            now = self.layout.features(state, self.skills.body).unsqueeze(1)
            self._history, self.tick = torch.cat((self._history[:, 1:], now), dim=1), self.tick + 1

    def window(self) -> Window:
        """Return the last features; latents mean nothing here."""
        count, past = len(self._history), self.layout.cfg.history
        known = torch.ones(count, past + 1, dtype=torch.bool)
        return Window(self._history, torch.zeros(count, past, 4), known[:, 1:], known, self.tick)

    def follow(self, plan: Plan | None) -> None:
        """Go as a plan says."""
        self.plan = plan

    def act(self, state: BodyState) -> Tensor:
        """Return the velocity of the plan in the world, and its yaw rate."""
        self._half, self._fresh = 1 - self._half, False
        if self.plan is None:
            return torch.zeros(len(self._history), 3)
        row = self.plan.features[:, self.layout.cfg.history + 1 + self.tick - self.plan.tick]
        # the stand-in planner writes velocities of the heading frame
        velocity = turned(row[:, VEL][:, :2], frames.yaw(state.root_quat_w))
        return torch.cat((velocity, row[:, 14:15]), dim=-1)


def guided_agent(body: Embodiment, layout: Layout, cfg: LoopCfg | None = None) -> GuidedAgent:
    """Return an agent of gliding bodies, planned for by :class:`Obedient`."""
    return GuidedAgent(Obedient(layout), Glider(body, layout), cfg)  # type: ignore[arg-type]


class Obedient:
    """A planner that does what the first cost asks for, or goes straight to the next keyframe."""

    device = torch.device("cpu")

    def __init__(self, layout: Layout) -> None:
        """Plan in a layout."""
        self.layout, self.asked, self.plans = layout, 0, 0

    def plan(
        self,
        window: Window,
        guidance: Guidance | None = None,
        keyframes: Keyframes | None = None,
        previous: Plan | None = None,
        generator: torch.Generator | None = None,
    ) -> Plan:
        """Return a plan of one velocity."""
        self.plans += 1
        now = window.features[:, -1]
        yaw, count = torch.atan2(now[:, 4], now[:, 3]), len(now)
        velocity_h, rate = torch.zeros(count, 2), torch.zeros(count)
        cost: Any = None if guidance is None else guidance.costs[-1]
        if isinstance(cost, Joystick):
            velocity = torch.as_tensor(cost.velocity).expand(count, 2)
            velocity_h = velocity if cost.frame == "heading" else turned(velocity, -yaw)
            rate = rate if cost.yaw_rate is None else torch.as_tensor(cost.yaw_rate).expand(count)
        elif isinstance(cost, Waypoint):
            away = torch.as_tensor(cost.pos_w) - now[:, :2]
            velocity_h = turned(away / away.norm(dim=-1, keepdim=True).clamp_min(1.0), -yaw)
        elif keyframes is not None:
            ahead = torch.where(keyframes.frame > 0.0, keyframes.frame, torch.inf)
            soon, row = ahead.min(-1)
            goal = keyframes.features[torch.arange(count), row][:, POS]
            far = soon.clamp(max=1e3) * self.layout.cfg.dt
            velocity_h = turned((goal - now[:, POS])[:, :2] / far.unsqueeze(-1), -yaw)
        features = now.unsqueeze(1).repeat(1, self.layout.cfg.num_states, 1)
        features[..., VEL][..., :2] = velocity_h.unsqueeze(1)
        features[..., 14] = rate.unsqueeze(1)
        latents = torch.zeros(count, self.layout.cfg.latent_horizon, 4)
        return Plan(features, latents, Frame.of_features(now), {}, 1e-3, window.tick)


def write_models(folder: Path, body: Embodiment) -> tuple[Path, Path]:
    """Write untrained skills, whose body keeps its default pose, and an untrained planner of them."""
    latent, diffusion = folder / "latent.pt", folder / "diffusion.pt"
    widths = {"root_lin_vel_b": 3, "root_ang_vel_b": 3, "gravity_b": 3, "anchor_pos_b": 3, "anchor_rot_b": 6}
    terms = [(name, widths.get(name, body.num_joints)) for name in (*REFERENCE, *PROPRIOCEPTION)]
    sizes = [sum(width for name, width in terms if name in names) for names in (REFERENCE, PROPRIOCEPTION)]
    torch.manual_seed(0)
    cfg = LatentCfg(width=4, encoder_hidden=(8,), prior_hidden=(8,), decoder_hidden=(8,))
    weights = LatentModel(cfg, *sizes, body.num_joints).state_dict()
    for name in [name for name in weights if name.startswith("decoder")][-2:]:
        weights[name] = torch.zeros_like(weights[name])
    config = {"latent": SMALL, "sim": {"threads": 1}}
    header = Header(
        kind="latent", body=body.signature(), observation=tuple(terms), control_dt=0.02, config=config
    )
    Checkpoint(latent, header, weights).save()
    layout = Layout.of(body)
    denoiser = Denoiser(DenoiserCfg(width=16, layers=1, heads=2), layout, 4)
    about = ShardHeader.of(layout, body, 4, digest(latent), ("walk",))
    DiffusionModel(denoiser, Schedule(), make_header(about, denoiser, {})).save(diffusion)
    return latent, diffusion
