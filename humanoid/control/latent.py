"""The control loop without a reference: plans give latents, the decoder gives servo targets.

Every control step the decoder sees the newest proprioception; every frame (two control
steps) the next latent of the plan is taken. A plan may arrive late: it is entered at its age.
Where no plan has a latent left, the mean of the prior is held: the body does what comes
natural and waits for the next plan.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import MismatchError
from humanoid.diffusion.trajectory import Layout
from humanoid.planning.planner import Plan, Window
from humanoid.sim.protocol import Simulator
from humanoid.skills.model import draw
from humanoid.skills.skills import Skills


class Driver:
    """Bodies in a simulator, driven by latents.

    Attributes:
        sim: the simulator; who pushes bodies does it there.
        skills: the decoder and the prior.
        layout: of the windows.
        state: present state, leading axis B.
        tick: frames since the first start.
        latent: (B, Z) held at present.
    """

    def __init__(
        self,
        sim: Simulator,
        skills: Skills,
        layout: Layout,
        seed: int = 0,
        sample_prior: bool = False,
    ) -> None:
        """Bind a decoder to a simulator; call :meth:`start` before anything else.

        Args:
            sim: of the skills' body.
            skills: on the simulator's device.
            layout: of the planner's tokens.
            seed: of the prior's samples.
            sample_prior: without a plan draw from the prior instead of taking its mean.

        Raises:
            MismatchError: another control rate, or frames that are not the time a latent is held.
        """
        if abs(sim.dt - skills.control_dt) > 1e-6:
            raise MismatchError(
                f"the skills were trained at a control period of {skills.control_dt} s, not {sim.dt} s"
            )
        if abs(layout.cfg.dt - skills.hold * sim.dt) > 1e-6:
            raise MismatchError(
                f"frames of {layout.cfg.dt} s, but a latent is held for {skills.hold * sim.dt:g} s; "
                "they must agree"
            )
        self.sim, self.skills, self.layout, self.sample_prior = sim, skills, layout, sample_prior
        count, device, history = sim.num_envs, sim.device, layout.cfg.history
        self.generator = torch.Generator(device=device).manual_seed(seed)
        self.last_action = torch.zeros(count, sim.body.num_joints, device=device)
        self.latent = torch.zeros(count, skills.width, device=device)
        self._features = torch.zeros(count, history + 1, layout.width, device=device)
        self._latents = torch.zeros(count, history, skills.width, device=device)
        self._known = torch.zeros(count, history, dtype=torch.bool, device=device)
        self._everyone = torch.ones(count, dtype=torch.bool, device=device)
        self._plan: Plan | None = None
        self._half, self.tick = 0, 0
        self.state: BodyState = sim.state()

    @property
    def needs_frame(self) -> bool:
        """Whether the next step begins a frame, so that a window taken now is of now."""
        return self._half == 0

    def start(self, history: BodyState, mask: Tensor | None = None) -> None:
        """Put bodies where a history ends and begin a frame.

        Args:
            history: (B, N + 1) states a frame apart, oldest first; their latents are unknown.
            mask: (B,) which bodies; all by default.
        """
        mask = self._everyone if mask is None else mask
        self.sim.reset(mask, history[:, -1])
        self.state = self.sim.state()
        chosen = mask.unsqueeze(-1)
        resting = (self.state.joint_pos - self.skills.default) / self.skills.scale
        self.last_action = torch.where(chosen, resting, self.last_action)
        features = self.layout.features(history, self.sim.body)
        self._features = torch.where(chosen.unsqueeze(-1), features, self._features)
        self._known = self._known & ~chosen
        self._half = 0

    def window(self) -> Window:
        """Return what the bodies did up to now; call it when :attr:`needs_frame`."""
        states = torch.ones(self._features.shape[:2], dtype=torch.bool, device=self._features.device)
        return Window(self._features.clone(), self._latents.clone(), self._known.clone(), states, self.tick)

    def follow(self, plan: Plan | None) -> None:
        """Take latents from a plan, on any device, from now on; None goes back to the prior."""
        self._plan = plan

    @torch.no_grad()
    def step(self) -> BodyState:
        """Advance one control step and return the state after it."""
        if self._half == 0:
            self.latent = self._next_latent()
        targets, self.last_action = self.skills.targets(self.state, self.last_action, self.latent)
        self.sim.set_targets(targets)
        self.sim.step()
        self.state = self.sim.state()
        self._half = (self._half + 1) % self.skills.hold
        if self._half == 0:
            self._record()
        return self.state

    def _next_latent(self) -> Tensor:
        plan = self._plan
        age = 0 if plan is None else self.tick - plan.tick
        if plan is not None and age < plan.latents.shape[1]:
            return plan.latents[:, age].to(self.latent.device)
        prior = self.skills.prior(self.state, self.last_action)
        return draw(prior, self.generator) if self.sample_prior else prior[0]

    def _record(self) -> None:
        """Append the frame that has just ended to the history."""
        features = self.layout.features(self.state, self.sim.body).unsqueeze(1)
        self._features = torch.cat((self._features[:, 1:], features), dim=1)
        self._latents = torch.cat((self._latents[:, 1:], self.latent.unsqueeze(1)), dim=1)
        self._known = torch.cat((self._known[:, 1:], torch.ones_like(self._known[:, :1])), dim=1)
        self.tick += 1
