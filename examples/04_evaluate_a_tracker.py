"""Perform a capture with the shipped tracker: ``python examples/04_evaluate_a_tracker.py [CAPTURE]``."""

import sys

import torch

import humanoid as hm

source = {"path": sys.argv[1]} if len(sys.argv) > 1 else {"path": "humanoid3d", "clip": "walk"}
motion = hm.load_motion(**source, body="smpl")

tracker = hm.Tracker.load("pretrained")
sim = tracker.simulator("mujoco", count=1)
agent = tracker.agent(sim)

# An agent turns a state and a command, here the reference, into servo targets.
zero = torch.zeros(1)
sim.reset(torch.ones(1, dtype=torch.bool), motion.at(zero))
errors = []
for frame in range(1, motion.num_frames):
    reference = tracker.reference(motion, zero + (frame - 1) * sim.dt)
    sim.set_targets(agent.act(sim.state(), reference))
    sim.step()
    distance = (sim.state().body_pos_w[0] - motion.states[frame].body_pos_w).norm(dim=-1)
    errors.append(1000 * float(distance.mean()))
print(f"{motion.name}: {len(errors)} control steps, mean distance of the bodies from the reference")
print(f"  {sum(errors) / len(errors):.0f} mm on average, {max(errors):.0f} mm at most")
print("more: humanoid eval track --help")
