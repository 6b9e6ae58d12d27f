"""The student as a policy of the tracker's task, so that one evaluation measures both."""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.envs.tracking import TrackingEnv
from humanoid.skills.distill_env import Columns
from humanoid.skills.skills import Skills


class Student:
    """Acts from the tracker's observations: encoder every frame, decoder every control step.

    It remembers its latent and last action between calls, so every environment must have
    begun anew when the first call comes, and none may begin anew later.
    """

    def __init__(self, skills: Skills, env: TrackingEnv) -> None:
        """Bind skills to the task they were distilled in.

        Raises:
            MismatchError: the task shows other terms.
        """
        self.skills, self.columns = skills, Columns(env.observation_layout(), env)
        self._calls, self._latent, self._action = 0, torch.empty(0), torch.empty(0)

    @torch.no_grad()
    def __call__(self, observation: Tensor) -> Tensor:
        """Return the tracker's actions (B, D) for its observations (B, O)."""
        model = self.skills.model
        if self._calls == 0:
            self._action = self.columns.resting(observation)
        sight = self.columns.sight(observation, self._action)
        if self._calls % self.skills.hold == 0:
            self._latent = model.encode(sight.reference, sight.proprioception)[0]
        self._calls += 1
        self._action = model.decode(sight.proprioception, self._latent)
        return self.columns.to_teacher(self._action, observation)
