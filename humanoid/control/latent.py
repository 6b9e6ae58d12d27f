"""Latent controller: plans give latents, the decoder of the skills turns them into servo targets.

The decoder sees the newest proprioception in every control step; in every frame (two control
steps) the next latent of the plan is taken. A plan may arrive late: it is entered at its age.
Without a latent of a plan the mean of the prior is held until the next plan.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import MismatchError
from humanoid.diffusion.trajectory import Layout
from humanoid.planning.planner import Plan, Window
from humanoid.skills.model import draw
from humanoid.skills.skills import Skills


class LatentController:
    """An agent of B bodies that follows plans of latents.

    Attributes:
        skills: decoder and prior.
        layout: of the windows.
        tick: frames since the first reset.
        latent: (B, Z) held at present.
    """

    def __init__(
        self, skills: Skills, layout: Layout, count: int, seed: int = 0, sample_prior: bool = False
    ) -> None:
        """Control bodies on the device of the skills.

        Args:
            skills: of the bodies.
            layout: of the planner's tokens.
            count: number B of bodies.
            seed: of the prior's samples.
            sample_prior: without a plan draw from the prior instead of taking its mean.

        Raises:
            MismatchError: frames that are not the time that a latent is held for.
        """
        if abs(layout.cfg.dt - skills.hold * skills.control_dt) > 1e-6:
            raise MismatchError(
                f"frames of {layout.cfg.dt} s, but a latent is held for "
                f"{skills.hold * skills.control_dt:g} s; they must agree"
            )
        self.skills, self.layout, self.sample_prior = skills, layout, sample_prior
        device, history = skills.default.device, layout.cfg.history
        self.generator = torch.Generator(device=device).manual_seed(seed)
        self.last_action = torch.zeros(count, skills.body.num_joints, device=device)
        self.latent = torch.zeros(count, skills.width, device=device)
        self.tick = 0
        self._features = torch.zeros(count, history + 1, layout.width, device=device)
        self._origin = torch.zeros_like(self._features)
        self._latents = torch.zeros(count, history, skills.width, device=device)
        self._known = torch.zeros(count, history, dtype=torch.bool, device=device)
        self._everyone = torch.ones(count, dtype=torch.bool, device=device)
        self._begun = torch.zeros(count, dtype=torch.long, device=device)
        self._renewed: Tensor | None = self._everyone
        self._blank = self._everyone
        self._plan: Plan | None = None
        self._phase, self._ended, self._seen = 0, False, False
        self._started, self._mixed = False, False

    @property
    def begins_frame(self) -> bool:
        """Whether the present step begins a frame, so that a window of now can be planned from."""
        return self._phase == 0

    def reset(self, mask: Tensor | None = None, history: BodyState | None = None) -> None:
        """Begin a frame and drop the plans and latents of bodies.

        Args:
            mask: (B,) bool, which bodies; all by default.
            history: (B, N + 1) states a frame apart, oldest first, that ends now; by default the next state
                stands for all of them.
        """
        if mask is None:
            # beyond the end of every earlier plan, so that none is followed and none continued
            self.tick += self.layout.cfg.horizon + 1 if self._started else 0
            self._plan, self._ended = None, False
        elif self._phase:  # the frame of the other bodies ends early
            self.tick += 1
        chosen = self._everyone if mask is None else mask
        self._begun = torch.where(chosen, self.tick + int(self._ended), self._begun)
        self._mixed = mask is not None
        self._renewed = chosen if self._renewed is None else self._renewed | chosen
        self._blank = self._blank & ~chosen if history is not None else self._blank | chosen
        self._phase, self._seen = 0, False
        if history is not None:
            features = self.layout.features(history, self.skills.body)
            self._origin = torch.where(chosen[:, None, None], features, self._origin)
            self._rest(history[:, -1], chosen)

    def observe(self, state: BodyState) -> None:
        """Take the state of this instant; :meth:`act` does, unless it was taken before."""
        if self._seen:
            return
        self._seen = self._started = True
        features = self.layout.features(state, self.skills.body).unsqueeze(1)
        if self._ended:
            self._features = torch.cat((self._features[:, 1:], features), dim=1)
            self._latents = torch.cat((self._latents[:, 1:], self.latent.unsqueeze(1)), dim=1)
            self._known = torch.cat((self._known[:, 1:], torch.ones_like(self._known[:, :1])), dim=1)
            self.tick, self._ended = self.tick + 1, False
        if self._renewed is None:
            return
        blank = self._renewed & self._blank
        self._origin = torch.where(blank[:, None, None], features, self._origin)
        self._rest(state, blank)
        self._features = torch.where(self._renewed[:, None, None], self._origin, self._features)
        self._known = self._known & ~self._renewed.unsqueeze(-1)
        self._renewed = None

    def window(self) -> Window:
        """Return the motion up to now; call it when :attr:`begins_frame`, after :meth:`observe`.

        Of bodies that have diverged it is their motion up to their last reset, so that it is finite.
        """
        sound = self._features.isfinite().flatten(1).all(1)
        known = self._known & self._latents.isfinite().all(-1) & sound[:, None]
        features = torch.where(sound[:, None, None], self._features, self._origin)
        states = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        return Window(features, self._latents.clone(), known, states, self.tick)

    def follow(self, plan: Plan | None) -> None:
        """Take latents from a plan, on any device, from now on; None goes back to the prior.

        Bodies that were reset after the plan's window keep the prior.
        """
        self._plan = plan
        if plan is not None and self._mixed:
            self._mixed = bool((self._begun > plan.tick).any())

    @torch.no_grad()
    def act(self, state: BodyState, command: Plan | None = None) -> Tensor:
        """Return servo targets (B, D) [rad]; see :class:`humanoid.control.agent.Agent`."""
        self.observe(state)
        if command is not None:
            self.follow(command)
        if self._phase == 0:
            self.latent = self._next_latent(state)
        targets, self.last_action = self.skills.targets(state, self.last_action, self.latent)
        self._phase = (self._phase + 1) % self.skills.hold
        self._ended, self._seen = self._phase == 0, False
        return targets

    def _rest(self, state: BodyState, mask: Tensor) -> None:
        """Take the decoder's last action to be the one that holds a pose."""
        resting = (state.joint_pos - self.skills.default) / self.skills.scale
        self.last_action = torch.where(mask.unsqueeze(-1), resting, self.last_action)

    def _next_latent(self, state: BodyState) -> Tensor:
        plan = self._plan
        age = 0 if plan is None else self.tick - plan.tick
        planned = None
        if plan is not None and 0 <= age < plan.latents.shape[1]:
            planned = plan.latents[:, age].to(self.latent.device)
            if not self._mixed:
                return planned
        mean, log_var = self.skills.prior(state, self.last_action)
        latent = draw((mean, log_var), self.generator) if self.sample_prior else mean
        if plan is None or planned is None:
            return latent
        return torch.where((self._begun > plan.tick).unsqueeze(-1), latent, planned)
