"""``humanoid train track``: learn to perform a motion set in physics.

Reads a YAML file (see ``cfg/track.yaml``) and ``key=value`` overrides, builds body,
motions, simulator and task, and trains with PPO. Everything lands in ``runs/NAME``:
``config.yaml``, TensorBoard events, ``checkpoint.pt`` and, when the process ends,
``metrics.json``. Run the same command again to go on after a kill or a limit.

``torchrun --nproc-per-node N -m humanoid train track`` trains one policy in N processes,
on as many GPUs where ``sim.device`` is ``cuda``; see :mod:`humanoid.rl.distributed`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from humanoid.bodies.catalogue import configured
from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.smpl import SmplCfg
from humanoid.core.config import to_dict
from humanoid.core.errors import ConfigError, HumanoidError
from humanoid.core.runs import claim_run, write_config
from humanoid.datasets.sources import load_motions
from humanoid.envs.tracking import TrackingCfg, TrackingEnv
from humanoid.motion.augment import TimeWarpCfg, warped_walks
from humanoid.motion.library import MotionLibrary
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.rl.checkpoints import CHECKPOINT, bytes_needed
from humanoid.rl.distributed import Ranks, join
from humanoid.rl.ppo import PpoCfg
from humanoid.rl.runner import Budget, Progress, Runner
from humanoid.rl.train import write_metrics
from humanoid.sim import SimCfg, make_sim, require_device
from humanoid.view.progress import say


@dataclass(frozen=True, kw_only=True)
class TrainCfg:
    """A training run of the tracker."""

    name: str = "track"
    """Run name; results go to ``runs/NAME``."""
    motions: str | tuple[str, ...] = "humanoid3d"
    """Motion set: a manifest, a capture file, an npz motion or a folder of them; or a list of these."""
    clips: tuple[str, ...] = ()
    """Names or tags of the clips to learn; all by default."""
    split: str = ""
    """``train`` keeps back the manifests' test clips; empty learns those, too."""
    mirror: bool = False
    """Whether to learn the mirror images, too, of the clips whose manifest allows it."""
    tempos: tuple[float, ...] = ()
    """Factors: each clip is learned that many times as fast, too."""
    stroll: TimeWarpCfg = field(default_factory=TimeWarpCfg)
    """Walks that stop, stand and go back, made of the clips and learned beside them; none by default."""
    weights: dict[str, float] = field(default_factory=dict)
    """Clip or tag -> factor on how often it is drawn; ``mirrored`` and ``retimed`` are what is added."""
    start_from: str = ""
    """Run folder whose networks a new run takes over, to learn other motions; none by default."""
    seed: int = 1
    """Seed of everything random; of several processes each derives its own from it."""
    num_envs: int = 4096
    """Environments simulated at once, in each process: N processes simulate N times as many."""
    samples: float = 2e9
    """Control steps, of all processes together, after which training ends."""
    minutes: float = 0.0
    """Wall minutes after which this process stops (resumable); 0 for no limit."""
    save_seconds: float = 60.0
    """Seconds between checkpoints."""
    torch_threads: int = 0
    """CPU threads of torch; 0: as many as ``OMP_NUM_THREADS`` names, by default one."""
    video_minutes: float = 0.0
    """Minutes between videos of the first clips in ``runs/NAME/videos``, filmed in MuJoCo; 0 for none."""
    embodiment: str = "smpl"
    """Who learns: smpl, smpl_ball, g1, h1, or one of these with a file of its own, g1:PATH."""
    body: SmplCfg = field(default_factory=SmplCfg)
    """Height, mass and joints of an SMPL body without a file."""
    retarget: RetargetCfg = field(default_factory=RetargetCfg)
    sim: SimCfg = field(default_factory=SimCfg)
    task: TrackingCfg = field(default_factory=TrackingCfg)
    ppo: PpoCfg = field(default_factory=PpoCfg)


def main(cfg: TrainCfg, runs: str = "runs") -> None:
    """Train, resuming where the run folder holds a checkpoint.

    Raises:
        HumanoidError: a configuration, motion, checkpoint, device or disk that does not do.
    """
    set_threads(cfg)
    folder = Path(runs) / cfg.name
    with join(cfg.sim.device) as ranks, ranks.listening():
        claim = claim_run(folder, bytes_needed(cfg.ppo)) if ranks.leads else nullcontext()
        with claim:
            ranks.agree()  # a folder that rank 0 cannot have ends all of them now
            _train(cfg, folder, ranks)


def _train(cfg: TrainCfg, folder: Path, ranks: Ranks) -> None:
    tell = say if ranks.leads else _keep_quiet
    own = replace(cfg, seed=ranks.seed(cfg.seed))
    env = build_env(own, load_library(own, configured(cfg.embodiment, cfg.body), tell), tell)
    runner = Runner(env, cfg.ppo, folder, to_dict(cfg), cfg.seed, ranks)
    (resumes,) = ranks.agree(ranks.leads and (folder / CHECKPOINT).exists())
    if resumes:
        runner.resume()
        tell(f"resumed {folder} at {runner.samples / 1e6:.2f} M samples")
    elif cfg.start_from:
        runner.start_from(cfg.start_from)
        tell(f"started from {cfg.start_from} at {runner.samples / 1e6:.2f} M samples")
    if ranks.leads:
        write_config(folder, cfg, cfg.seed)
    budget = Budget(samples=cfg.samples, minutes=cfg.minutes, save_seconds=cfg.save_seconds)
    report = Reporter()
    try:
        runner.train(budget, _observer(cfg, runner, report) if ranks.leads else None)
    except KeyboardInterrupt:
        runner.save_run()
        tell("interrupted; run the same command again to go on")
    if report.latest is not None:
        write_metrics(folder / "metrics.json", report.latest)
    tell(f"saved {folder / CHECKPOINT}")


def set_threads(cfg: TrainCfg) -> None:
    """Give torch the CPU threads that the configuration asks for.

    Raises:
        ConfigError: a negative number of them.
    """
    if cfg.torch_threads < 0:
        raise ConfigError(f"torch_threads is {cfg.torch_threads}; 0 or more are needed")
    if cfg.torch_threads:
        torch.set_num_threads(cfg.torch_threads)


def load_library(cfg: TrainCfg, body: Embodiment, tell: Callable[[str], None] = say) -> MotionLibrary:
    """Load the motions and pack them on the simulator's device; ``tell`` what was found.

    Raises:
        ConfigError: there is no such device.
        InputError: a motion is missing or malformed.
    """
    require_device(cfg.sim.device)
    loaded = load_motions(
        cfg.motions,
        body,
        cfg.clips,
        cfg.retarget,
        split=cfg.split,
        mirror=cfg.mirror,
        tempos=cfg.tempos,
        weights=cfg.weights,
    )
    extra = warped_walks(loaded.motions, body, cfg.stroll, cfg.seed)
    weights = [*loaded.weights, *[1.0] * len(extra)]
    library = MotionLibrary((*loaded.motions, *extra), body, cfg.sim.device, weights)
    tell(f"{library.num_clips} clips, {library.num_frames / library.fps:.1f} s")
    return library


def build_env(cfg: TrainCfg, library: MotionLibrary, tell: Callable[[str], None] = say) -> TrackingEnv:
    """Build the task in the configured simulator; ``tell`` so before it takes its time.

    Raises:
        ConfigError: a number or a name that the task or the simulator cannot use.
    """
    if cfg.num_envs < 1:
        raise ConfigError(f"num_envs is {cfg.num_envs}; at least 1 is needed")
    tell(f"building {cfg.num_envs} environments in {cfg.sim.backend}")
    sim = make_sim(cfg.task.simulated(cfg.sim), library.body, cfg.num_envs, cfg.seed, cfg.task.scene)
    return TrackingEnv(cfg.task, sim, library, cfg.seed)


def _keep_quiet(_: str) -> None:
    """Say nothing: rank 0 does for all."""


def _observer(cfg: TrainCfg, runner: Runner, report: Reporter) -> Callable[[Progress], None]:
    """Return what happens after each iteration: a report, and a video where asked for."""
    if cfg.video_minutes <= 0:
        return report
    from humanoid.scripts.film import Camera  # here, so that training needs no OpenGL

    camera = Camera(runner.folder / CHECKPOINT, cfg.video_minutes)

    def observe(progress: Progress) -> None:
        report(progress)
        if not camera.due():
            return
        runner.save_run()
        try:
            say(f"filmed {camera.shoot(progress.samples)}")
        except HumanoidError as error:  # a video is not worth the run
            say(f"no video: {error}")

    return observe


class Reporter:
    """Prints a line every few seconds: progress, speed, time left, how well it tracks."""

    def __init__(self, every_s: float = 10.0) -> None:
        """Report at most once in ``every_s`` seconds."""
        self.every_s, self._last = every_s, 0.0
        self.latest: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Report an iteration and keep it as ``latest``."""
        self.latest = progress
        now = time.monotonic()
        if now - self._last < self.every_s and progress.eta_s > 0:
            return
        self._last = now
        s = progress.scalars
        say(
            f"it {progress.iteration:5d}  {progress.samples / 1e6:8.2f} M  "
            f"{progress.samples_per_s:7.0f} steps/s  left {progress.eta_s / 60:6.1f} min  "
            f"length {s['episode/length']:6.1f}  reward {s['episode/reward']:.4f}  "
            f"body {1000 * s['error/body_pos']:5.0f} mm  anchor {1000 * s['error/anchor_pos']:5.0f} mm  "
            f"std {s['ppo/action_std']:.3f}  lr {s['ppo/learning_rate']:.1e}"
        )
