"""What several tests share: small thread pools, a body, generated motions, where captures lie."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # the tests' tensors are small: threads only cost

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor
from xdist.scheduler import LoadFileScheduling

from humanoid.bodies import BodyState, ContactState, Embodiment, Kinematics, g1, h1, smpl
from humanoid.bodies.robot_files import find_mjcf
from humanoid.core import InputError, data_file, load_config
from humanoid.envs import TrackingCfg, TrackingEnv
from humanoid.eval.tracking import CALM
from humanoid.motion import Motion, MotionLibrary
from humanoid.sim import PhysicsChange, SimCfg, Simulator, make_sim
from humanoid.spatial.signals import derivative
from tests.g1_samples import squat as g1_squat
from tests.synthetic_robots import g1_links, h1_links, mjcf
from tests.synthetic_smpl import ModelMaker, make_arrays

REPOSITORY = Path(__file__).resolve().parents[1]
FPS = 50.0
EnvMaker = Callable[..., TrackingEnv]

torch.set_num_threads(1)
settings.register_profile("default", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("default")


class ByFile(LoadFileScheduling):
    """Gives each file to one process, and all tests of Genesis, which compiles for minutes, to one."""

    def _split_scope(self, nodeid: str) -> str:
        return "genesis" if "genesis" in nodeid else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Share the tests among processes."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave Genesis time to compile."""
    for item in items:
        if item.get_closest_marker("genesis") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def body() -> Embodiment:
    """The default body."""
    return smpl.build()


@pytest.fixture(scope="session")
def mocap_data() -> Path:
    """Folder of captured files, ``$HUMANOID_TEST_DATA`` or beside the repository."""
    folder = Path(os.environ.get("HUMANOID_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no captured motion at {folder}; set HUMANOID_TEST_DATA to a folder that has it")
    return folder


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)


def bend(body: Embodiment, name: str, frames: int, depth: float, place: float = 0.0) -> Motion:
    """Return a bend of the knees from standing at x = ``place``; no two frames are alike."""
    phase = torch.arange(frames) * (math.pi / (frames - 1))
    angle = 0.5 * depth * (1 - phase.cos())
    rate = 0.5 * depth * phase.sin() * FPS * math.pi / (frames - 1)
    joint_pos, joint_vel = torch.zeros(2, frames, body.num_joints)
    for joint, factor in (("Hip_y", -1.0), ("Knee_y", 2.0), ("Ankle_y", -1.0)):
        columns = body.joint_ids([f"L_{joint}", f"R_{joint}"])
        joint_pos[:, columns], joint_vel[:, columns] = factor * angle[:, None], factor * rate[:, None]
    kinematics, zero = Kinematics(body), torch.zeros(frames, 3)
    upright = torch.tensor((1.0, 0.0, 0.0, 0.0)).repeat(frames, 1)
    height = -kinematics.clearance(*kinematics.poses(zero, upright, joint_pos)).amin(-1)
    root = torch.stack((zero[:, 0] + place, zero[:, 0], height), dim=-1)
    return Motion(
        name=name,
        fps=FPS,
        joint_names=body.joint_names,
        body_names=body.body_names,
        states=kinematics.state(root, upright, joint_pos, derivative(root, FPS), zero, joint_vel),
        contact=torch.ones(frames, len(body.feet), dtype=torch.bool),
        contact_names=body.feet,
    )


class Playback:
    """A simulator without physics: from where it is put, it plays the library's frames.

    It finds its frame by itself from the state of a reset, so that a cursor that is off
    by one frame disagrees with it.
    """

    def __init__(self, library: MotionLibrary, num_envs: int) -> None:
        """Put every environment on the first frame."""
        self.library, self.body, self.num_envs = library, library.body, num_envs
        self.dt, self.device = 1.0 / library.fps, torch.device("cpu")
        self.frame = torch.zeros(num_envs, dtype=torch.long)
        self.targets = torch.zeros(num_envs, library.body.num_joints)
        self.pushes, self.broken = 0, torch.zeros(num_envs, dtype=torch.bool)
        self._known = self._pose(library.rows(torch.arange(library.num_frames)))

    def state(self) -> BodyState:
        """Return the frame, NaN where broken."""
        found = self.library.rows(self.frame)
        found.joint_pos[self.broken, 0] = math.nan
        return found

    def contacts(self) -> ContactState:
        """Return no contact."""
        return ContactState(torch.zeros(self.num_envs, self.body.num_bodies, 3))

    def set_targets(self, joint_pos: Tensor) -> None:
        """Keep the targets, which nothing follows."""
        self.targets = joint_pos.clone()

    def step(self) -> None:
        """Go on by one frame, staying on the last of the clip."""
        clip = self.library.clip[self.frame]
        last = self.library.start[clip] + self.library.length[clip] - 1
        self.frame = torch.minimum(self.frame + 1, last)

    def reset(self, mask: Tensor, state: BodyState) -> None:
        """Go to the frame of the nearest pose."""
        nearest = torch.cdist(self._pose(state), self._known).argmin(-1)
        self.frame = torch.where(mask, nearest, self.frame)
        self.broken = self.broken & ~mask

    @staticmethod
    def _pose(state: BodyState) -> Tensor:
        return torch.cat((state.joint_pos, state.root_pos_w), dim=-1)

    def push(self, lin_vel_w: Tensor, ang_vel_w: Tensor) -> None:
        """Count."""
        self.pushes += 1

    def randomize(self, change: PhysicsChange) -> None:
        """Nothing to change."""

    def self_collision_pairs(self) -> set[frozenset[str]]:
        """Return no pair."""
        return set()

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(scope="session")
def squat(body: Embodiment) -> Motion:
    """Two seconds from standing into a squat."""
    return bend(body, "squat", frames=101, depth=0.6)


@pytest.fixture(scope="session")
def library(body: Embodiment, squat: Motion) -> MotionLibrary:
    """The squat and, from row 101 on, 41 frames of a shallower bend."""
    return MotionLibrary([squat, bend(body, "dip", frames=41, depth=0.2, place=1.0)], body)


@pytest.fixture(scope="session")
def make_env(body: Embodiment, library: MotionLibrary) -> EnvMaker:
    """Build an environment, in MuJoCo and without disturbances unless told otherwise."""

    def make(num_envs: int = 4, seed: int = 0, sim: Simulator | None = None, **parts: Any) -> TrackingEnv:
        cfg = TrackingCfg(**{"event": CALM, **parts})
        if sim is None:
            sim = make_sim(SimCfg(threads=1, randomizable=cfg.event.varies_physics), body, num_envs)
        return TrackingEnv(cfg, sim, library, seed)

    return make


@pytest.fixture
def playback(library: MotionLibrary) -> Playback:
    """Four environments without physics."""
    return Playback(library, 4)


@pytest.fixture(scope="session")
def motion_folder(body: Embodiment, squat: Motion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of npz motions: the squat and the dip."""
    folder = tmp_path_factory.mktemp("motions")
    for motion in (squat, bend(body, "dip", frames=41, depth=0.2, place=1.0)):
        motion.save(folder / f"{motion.name}.npz")
    return folder


@pytest.fixture(scope="session")
def tiny_cfg(motion_folder: Path) -> Any:
    """A training run of two iterations with 4 environments and 32 hidden units."""
    from humanoid.rl import PpoCfg
    from humanoid.scripts.train_tracker import TrainCfg  # here: rsl-rl takes long to import

    return TrainCfg(
        name="tiny",
        motions=str(motion_folder),
        num_envs=4,
        samples=2 * 4 * 6,
        sim=SimCfg(threads=1),
        task=TrackingCfg(event=CALM),
        ppo=PpoCfg(actor_hidden=(32, 16), critic_hidden=(32,), num_steps=6, epochs=2, minibatches=2),
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_cfg: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of that run, finished. Not to be written to."""
    from humanoid.scripts.train_tracker import main

    runs = tmp_path_factory.mktemp("runs")
    main(tiny_cfg, str(runs))
    return runs / tiny_cfg.name


@pytest.fixture(scope="session")
def latent_cfg(tiny_run: Path, motion_folder: Path) -> Any:
    """A distillation of two iterations with 4 environments."""
    from humanoid.rl.checkpoints import CHECKPOINT
    from humanoid.scripts import train_skills as train_latent  # here: rsl-rl takes long to import
    from humanoid.skills import DistillCfg, LatentCfg, PerformCfg

    return train_latent.TrainLatentCfg(
        name="latent",
        teacher=str(tiny_run / CHECKPOINT),
        perform=PerformCfg(motions=str(motion_folder), mirror=False),
        num_envs=4,
        samples=2 * 4 * 3 * 2,
        latent=LatentCfg(width=6, encoder_hidden=(32,), prior_hidden=(16,), decoder_hidden=(32,)),
        distill=DistillCfg(frames=3, keep=2, minibatch=4, updates=2),
    )


@pytest.fixture(scope="session")
def latent_run(latent_cfg: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of that run, finished. Not to be written to."""
    from humanoid.scripts import train_skills as train_latent

    runs = tmp_path_factory.mktemp("latent_runs")
    train_latent.main(latent_cfg, str(runs))
    return runs / latent_cfg.name


@pytest.fixture(scope="session")
def skills(latent_run: Path) -> Any:
    """The latent skills that it learned."""
    from humanoid.rl.checkpoints import CHECKPOINT
    from humanoid.skills import Skills

    return Skills.load(latent_run / CHECKPOINT)


@pytest.fixture(scope="session")
def performance(latent_cfg: Any) -> Any:
    """The teacher and the motions that they learned from."""
    from humanoid.skills import load_teacher, load_teacher_motions

    return load_teacher_motions(latent_cfg.perform, load_teacher(latent_cfg.teacher), "cpu", 0)


@pytest.fixture(scope="session")
def make_smpl_arrays() -> ModelMaker:
    """What makes the arrays of a model type and says the volume [m^3] of its skin."""
    return make_arrays


@pytest.fixture(scope="session")
def smpl_arrays() -> tuple[dict[str, np.ndarray], float]:
    """Arrays of a SMPL file and the volume of its skin."""
    return make_arrays("smpl")


@pytest.fixture(scope="session")
def smpl_path(
    smpl_arrays: tuple[dict[str, np.ndarray], float], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A synthetic SMPL npz."""
    path = tmp_path_factory.mktemp("smpl") / "SMPL_NEUTRAL.npz"
    np.savez(path, **smpl_arrays[0])  # pyright: ignore[reportArgumentType]
    return path


@pytest.fixture(scope="session")
def g1_mjcf() -> Path:
    """The MJCF of the real G1: ``$HUMANOID_G1``, the user's cache or an installed mjlab."""
    try:
        return find_mjcf("g1", g1.G1.files)
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def g1_like_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MJCF with the names and axes of the G1 and round numbers for the rest."""
    path = tmp_path_factory.mktemp("g1") / "g1.xml"
    path.write_text(mjcf(g1_links()))
    return path


@pytest.fixture(scope="session")
def g1_like(g1_like_path: Path) -> Embodiment:
    """A body like the G1, 29 joints."""
    return g1.build(g1_like_path)


@pytest.fixture(scope="session")
def h1_like(tmp_path_factory: pytest.TempPathFactory) -> Embodiment:
    """A body like the H1, 19 joints."""
    path = tmp_path_factory.mktemp("h1") / "h1.xml"
    path.write_text(mjcf(h1_links()))
    return h1.build(path)


@pytest.fixture(scope="session")
def g1_motion(g1_like: Embodiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An npz of a squat of the body like the G1."""
    path = tmp_path_factory.mktemp("g1_motion") / "squat.npz"
    g1_squat(g1_like).save(path)
    return path


@pytest.fixture(scope="session")
def g1_cfg(g1_like_path: Path, g1_motion: Path) -> Any:
    """The shipped recipe of the G1 on MuJoCo: 16 environments, two iterations, 32 hidden units."""
    from humanoid.scripts.train_tracker import TrainCfg  # here: rsl-rl takes long to import

    overrides = [
        f"embodiment=g1:{g1_like_path}", f"motions={g1_motion}", "clips=[]", "num_envs=16",
        f"samples={2 * 16 * 24}", "sim.backend=mujoco", "sim.device=cpu", "sim.threads=1",
        "ppo.actor_hidden=[32]", "ppo.critic_hidden=[32]",
    ]  # fmt: skip
    return load_config(TrainCfg, data_file("cfg", "track_g1"), overrides)


@pytest.fixture(scope="session")
def g1_run(g1_cfg: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of that run, finished. Not to be written to."""
    from humanoid.scripts.train_tracker import main

    runs = tmp_path_factory.mktemp("g1_runs")
    main(g1_cfg, str(runs))
    return runs / g1_cfg.name
