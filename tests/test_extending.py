"""Extension from outside of the package: a reward, an observation, a termination, a robot and a task."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import humanoid as hm
from humanoid.bodies import Embodiment, smpl
from humanoid.core import ConfigError, from_dict, to_dict
from humanoid.core.errors import TrainingError
from humanoid.envs import (
    Env,
    EnvCfg,
    ObservationCfg,
    ObservationTerm,
    RewardTerm,
    StepState,
    TrackingCfg,
    VelocityCommandCfg,
    VelocitySource,
)
from humanoid.envs.observations import goal_observations
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.motion import Motion, MotionLibrary
from humanoid.nn import Checkpoint
from humanoid.rl import PpoCfg, Progress
from humanoid.sim import SimCfg, Simulator
from humanoid.tasks import Joystick
from humanoid.tasks.velocity import VelocityCfg

TINY = PpoCfg(actor_hidden=(16,), critic_hidden=(16,), num_steps=4, epochs=1, minibatches=1)
ENVS, BATCH = 4, 16


def hop(step: StepState, height: float = 0.1) -> Tensor:
    """Reward a pelvis above its standing height. (B,)."""
    return (step.state.root_pos_w[:, 2] - height).clamp(0.0, 1.0)


def head_b(step: StepState) -> Tensor:
    """Observe the head's height. (B, 1) [m]."""
    return step.body.posture.head_height(step.state).unsqueeze(-1)


def too_fast(step: StepState, threshold: float) -> Tensor:
    """Fail above a root speed [m/s]. (B,) bool."""
    return step.state.root_lin_vel_w.norm(dim=-1) > threshold


@dataclass(frozen=True, kw_only=True)
class MarchCfg(VelocityCfg):
    """Walk ahead, with a reward, an observation and a termination of the user's."""

    command: VelocityCommandCfg = field(
        default_factory=lambda: VelocityCommandCfg(forward=(0.5, 1.0), sideways=(0.0, 0.0))
    )
    observation: ObservationCfg = field(
        default_factory=lambda: ObservationCfg(
            terms={**goal_observations("velocity_command_h"), "test_head_b": ObservationTerm(noise=0.01)}
        )
    )
    termination: dict[str, float] = field(default_factory=lambda: {"head_height": 0.5, "test_too_fast": 9.0})


class MarchTask(Joystick):
    """A task of the user's."""

    cfg = MarchCfg

    @classmethod
    def make_env(
        cls, cfg: EnvCfg, sim: Simulator, library: MotionLibrary | None = None, seed: int = 0
    ) -> Env:
        """Build the environment."""
        assert isinstance(cfg, MarchCfg)
        return Env(cfg, sim, lambda env: VelocitySource(cfg.command, env), seed)


def short(path: str | None) -> Embodiment:
    """Return a short body; it takes no file."""
    return smpl.build(smpl.SmplCfg(height=1.5))


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    hm.rewards.register("test_hop", hop)
    hm.observations.register("test_head_b", head_b)
    hm.terminations.register("test_too_fast", too_fast)
    hm.tasks.register("test_march", MarchTask)
    hm.robots.register("test_short", short)
    yield


def test_a_task_of_ones_own_trains_saves_and_resumes(tmp_path: Path) -> None:
    cfg = MarchCfg(reward=VelocityCfg().reward | {"test_hop": RewardTerm(weight=2.0, params={"height": 0.8})})
    seen: list[Progress] = []
    for samples in (2 * BATCH, 3 * BATCH):
        env = hm.make_env("test_march", num_envs=ENVS, body="test_short", cfg=cfg, sim=SimCfg(threads=1))
        assert isinstance(env, Env) and env.observation_layout()[-1] == ("test_head_b", 1)
        path = hm.train(env, tmp_path / "march", samples=samples, ppo=TINY, on_progress=seen.append)
        env.sim.close()
    assert [progress.samples for progress in seen] == [BATCH, 2 * BATCH, 3 * BATCH]
    assert "reward/test_hop" in seen[-1].scalars and "error/velocity" in seen[-1].scalars
    checkpoint = Checkpoint.load(path, "policy")
    assert checkpoint.header.config["embodiment"] == "test_short"
    loaded = from_dict(MarchCfg, checkpoint.header.config["task"])
    assert loaded == cfg
    env = hm.make_env("test_march", num_envs=ENVS, body="test_short", cfg=loaded, sim=SimCfg(threads=1))
    checkpoint.require(env.observation_layout(), env.sim.dt)
    action = checkpoint.policy()(env.reset()["actor"])
    assert env.step(action).reward.shape == (ENVS,) and action.isfinite().all()
    env.sim.close()


def test_a_reward_of_ones_own_joins_the_tracking_task(squat: Motion) -> None:
    cfg = from_dict(TrackingCfg, {"reward": {"test_hop": {"weight": 1.0}, "body_pos": {"weight": 2.0}}})
    assert cfg.reward["body_pos"] == replace(TRACKING_REWARDS["body_pos"], weight=2.0)
    env = hm.make_env("tracking", motions=[squat], num_envs=2, cfg=cfg, sim=SimCfg(threads=1))
    log = env.step(torch.zeros(2, env.num_actions)).log
    torch.testing.assert_close(log["reward/test_hop"], log["reward/test_hop"].clamp(0.5, 1.0))
    env.sim.close()


def test_a_reward_of_contacts_gets_their_forces(squat: Motion) -> None:
    """Only the package's own term had switched them on."""

    @hm.rewards.reads_contacts
    def load(step: StepState) -> Tensor:
        assert step.contact_force_w is not None
        return step.contact_force_w[:, step.body.feet, 2].sum(-1)

    hm.rewards.register("test_load", load)
    cfg = TrackingCfg(reward={**TRACKING_REWARDS, "test_load": RewardTerm(weight=1.0)})
    env = hm.make_env("tracking", motions=[squat], num_envs=2, cfg=cfg, sim=SimCfg(threads=1))
    assert float(env.step(torch.zeros(2, env.num_actions)).log["reward/test_load"]) > 0.0
    env.sim.close()


@pytest.mark.parametrize(
    ("tree", "name"),
    [
        ({"reward": {"test_hpo": {"weight": 1.0}}}, "test_hop"),
        ({"termination": {"test_to_fast": 1.0}}, "test_too_fast"),
        ({"observation": {"terms": {"test_haed_b": {}}}}, "test_head_b"),
    ],
)
def test_a_misspelt_term_names_the_nearest_registered_one(tree: dict, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        from_dict(TrackingCfg, tree)


def test_a_name_is_registered_once() -> None:
    hm.rewards.register("test_hop", hop)
    with pytest.raises(ConfigError, match="test_hop"):
        hm.rewards.register("test_hop", head_b)


@pytest.mark.parametrize("task", ["tracking", "velocity", "waypoint", "forest", "inbetween"])
def test_every_task_builds_with_defaults_and_steps(squat: Motion, task: str) -> None:
    env = hm.make_env(task, motions=[squat], num_envs=2, sim=SimCfg(threads=1))
    obs = env.reset()
    for _ in range(3):
        step = env.step(torch.zeros(2, env.num_actions))
        assert step.obs.keys() == obs.keys() and step.obs["actor"].shape == obs["actor"].shape
        assert step.reward.isfinite().all() and step.done.dtype == torch.bool
        assert all(value.isfinite().all() for value in step.obs.values())
    cls = type(env.cfg)
    assert from_dict(cls, to_dict(env.cfg)) == env.cfg
    env.sim.close()


@pytest.mark.parametrize(
    ("given", "name"), [({"task": "trakcing"}, "tracking"), ({"task": "tracking"}, "motions"),
                        ({"task": "velocity", "num_envs": 0}, "num_envs"),
                        ({"task": "velocity", "cfg": TrackingCfg()}, "TrackingCfg")],
)  # fmt: skip
def test_what_cannot_be_built_is_named(given: dict, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        hm.make_env(**given)


def test_importing_the_face_loads_neither_torch_nor_a_simulator() -> None:
    code = (
        "import sys, humanoid; assert 'make_env' in dir(humanoid); "
        "assert not {'torch', 'mujoco', 'genesis', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_can_be_had() -> None:
    assert all(getattr(hm, name) is not None for name in hm.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = hm.no_such_name


def test_a_training_that_diverges_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    """Weights that are not finite had been saved over it, if iterations since then were fine."""
    calls: list[int] = []

    def late(step: StepState) -> Tensor:
        calls.append(1)
        return torch.full_like(step.state.root_pos_w[:, 0], 0.0 if len(calls) < 14 else torch.inf)

    hm.rewards.register("test_late", late)
    cfg = VelocityCfg(reward=VelocityCfg().reward | {"test_late": RewardTerm(weight=1.0)})
    run, saved = tmp_path / "run", []
    for samples in (BATCH, 50 * BATCH):
        env = hm.make_env("velocity", num_envs=ENVS, cfg=cfg, sim=SimCfg(threads=1))
        with pytest.raises(TrainingError, match="not finite") if saved else nullcontext():
            hm.train(env, run, samples=samples, ppo=TINY, save_seconds=1e9)
        env.sim.close()
        saved.append((run / "checkpoint.pt").read_bytes())
    assert len(calls) > 12 and saved[0] == saved[1]
    assert "versions:" in (run / "config.yaml").read_text()
