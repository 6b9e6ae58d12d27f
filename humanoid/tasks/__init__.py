"""Tasks: the environment to train in, commands and success; an open registry.

``register("name", MyTask)`` adds a task, ``make_env("name", ...)`` builds its environment,
``make("name", context)`` its evaluated episodes.
"""

from humanoid.tasks.forest import ForestTask, ForestWalk
from humanoid.tasks.inbetween import InbetweenTask
from humanoid.tasks.make import make_env
from humanoid.tasks.task import TASKS, EpisodeResult, Task, TaskCfg, TaskContext, make, register
from humanoid.tasks.tracking import TrackingTask
from humanoid.tasks.velocity import Joystick, Perturb, Switch
from humanoid.tasks.waypoint import WaypointTask

for _name, _task in {
    "tracking": TrackingTask,
    "velocity": Joystick,
    "joystick": Joystick,
    "waypoint": WaypointTask,
    "forest": ForestTask,
    "inbetween": InbetweenTask,
    "perturb": Perturb,
    "switch": Switch,
    "joystick+forest": ForestWalk,
}.items():
    register(_name, _task)

__all__ = [
    "TASKS", "EpisodeResult", "ForestTask", "ForestWalk", "InbetweenTask", "Joystick", "Perturb", "Switch",
    "Task", "TaskCfg", "TaskContext", "TrackingTask", "WaypointTask", "make", "make_env", "register",
]  # fmt: skip
