"""The student as a policy does what it does in the DAgger environment."""

from __future__ import annotations

import torch

from humanoid.eval.latent import Student
from humanoid.skills import Skills
from humanoid.skills.distill_env import DaggerEnv


def test_the_policy_plays_as_in_the_classroom(room: DaggerEnv, skills: Skills) -> None:
    env, rows = room.env, torch.tensor([0, 20, 50, 105])
    paths = []
    for as_policy in (True, False):
        env.generator.manual_seed(0)
        room.start(rows)
        student, latent = Student(skills, env), torch.empty(0)
        for step in range(6):
            sight = room.look()
            if step % 2 == 0:
                latent = skills.model.encode(sight.reference, sight.proprioception)[0].detach()
            if as_policy:
                env.play(student(sight.observation))
            else:
                room.play(sight, skills.model.decode(sight.proprioception, latent).detach())
        paths.append(env.state.joint_pos)
    torch.testing.assert_close(paths[0], paths[1], atol=1e-4, rtol=0)
