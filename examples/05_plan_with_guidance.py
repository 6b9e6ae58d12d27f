"""Walk where a joystick points, by guided diffusion: ``python examples/05_plan_with_guidance.py``."""

import humanoid as hm

planner = hm.Planner.load("pretrained")
sim = planner.simulator("mujoco")
agent = planner.agent(sim)

agent.command([hm.costs.Joystick(velocity=(0.8, 0.0))])  # forward and left [m/s]
for step in range(200):
    if step == 100:
        agent.command([hm.costs.Joystick(velocity=(0.7, 0.0), yaw_rate=0.6)])  # turn left [rad/s]
    sim.set_targets(agent.act(sim.state()))
    sim.step()
    if step % 25 == 24:
        x, y, height = sim.state().root_pos_w[0].tolist()
        print(f"{(step + 1) * sim.dt:.1f} s: x {x:5.2f} m, y {y:5.2f} m, root height {height:.2f} m")
print(f"median time of a plan: {1000 * sorted(agent.plan_seconds)[len(agent.plan_seconds) // 2]:.0f} ms")
