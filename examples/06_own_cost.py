"""A cost of one's own: walk along a line on the floor: ``python examples/06_own_cost.py``."""

from dataclasses import dataclass

from torch import Tensor

import humanoid as hm
from humanoid.diffusion import Trajectory


@dataclass(frozen=True)
class Line:
    """Half the squared distance of the root from the line y = ``y_w`` [m], summed over future frames."""

    y_w: float
    name: str = "line"

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return one cost per plan, (B,); any differentiable function of the planned trajectory."""
        y_w = trajectory.root_pos_w[:, trajectory.future, 1]
        return 0.5 * (y_w - self.y_w).square().sum(1)


hm.costs.register("line", Line, weight=0.3)
planner = hm.Planner.load("pretrained")
walk = hm.costs.Joystick(velocity=(0.8, 0.0))
for goals in ([walk], [walk, Line(y_w=0.5)], [walk, Line(y_w=-0.5)]):
    sim = planner.simulator("mujoco")
    agent = planner.agent(sim)
    agent.command(goals)
    for _ in range(250):
        sim.set_targets(agent.act(sim.state()))
        sim.step()
    x, y, _ = sim.state().root_pos_w[0].tolist()
    print(f"{[goal.name for goal in goals]}: after 5 s at x {x:.2f} m, y {y:+.2f} m")
