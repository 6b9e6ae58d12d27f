"""Configurations of the verbs: a class a verb, a field an option, its docstring the help.

Nothing here imports torch, so that ``--help`` is immediate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from humanoid.core.constraints import Checked, Count, Interval, Natural, NonNegative, Positive
from humanoid.core.errors import ConfigError
from humanoid.core.load_cfg import LoadCfg
from humanoid.eval.config import PerturbCfg, TaskEvalCfg
from humanoid.retarget.thresholds import QualityCfg

Positional = tyro.conf.Positional
Sim = Literal["mujoco", "genesis"]
Part = Literal["", "train", "test"]


def _span(args: list[str]) -> tuple[float, float]:
    """Return the two times [s] of FROM:TO.

    Raises:
        ConfigError: it is not of that form.
    """
    low, _, high = args[0].partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise ConfigError(f"hole '{args[0]}' is not FROM:TO in seconds, such as 1.0:2.4") from None


Span = Annotated[
    tuple[float, float],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="FROM:TO",
        instance_from_str=_span,
        is_instance=lambda value: isinstance(value, tuple) and len(value) == 2,
        str_from_instance=lambda value: [f"{value[0]:g}:{value[1]:g}"],
    ),
]
"""Two times [s], on the command line FROM:TO."""


@dataclass(frozen=True, kw_only=True)
class _GuidedCfg(Checked):
    """Skills, planner and simulator of a guided agent."""

    latent: str = ""
    """Latent skills; the shipped ones by default."""
    diffusion: str = ""
    """Planner; the shipped one by default."""
    sim: Sim = "mujoco"
    """Simulator."""
    device: str = "cpu"
    """torch device of genesis and of the plans; mujoco runs on cpu."""


@dataclass(frozen=True, kw_only=True)
class DemoCfg(Checked):
    """Watch the shipped tracker perform motion capture, then be steered: video, report, metrics."""

    out: str = "demo_out"
    """Folder for demo.mp4, demo.png, report.html and metrics.json."""
    checkpoint: str = ""
    """Tracker; the shipped one by default."""
    motions: str = ""
    """Manifest, file or folder of the motions; by default that of the training."""
    clips: tuple[str, ...] = ()
    """Names or tags to perform; by default those of the training."""
    sim: Sim = "mujoco"
    """Simulator."""
    video: bool = True
    """Render; needs OpenGL (EGL)."""
    max_seconds: Positive = 5.0
    """Longest part of a clip in the video [s]."""
    guided: bool = True
    """Add the guided demo: past pillars, to a waypoint, through keyframes."""


@dataclass(frozen=True, kw_only=True)
class TeleopCfg(_GuidedCfg):
    """Steer a simulated humanoid in the browser: keys, sliders, obstacles, waypoints, pushes.

    Keys: I/K faster and slower, J/L turn, space takes the command back; with --frame world I/K/U/O
    send it in four directions. One client steers, others watch.
    """

    host: str = "127.0.0.1"
    """Address to listen on; beyond 127.0.0.1 everybody who reaches it can steer."""
    port: int = 8080
    """Port; the next free one where it is taken, 0: any."""
    styles: tuple[str, ...] = ()
    """Motions, sets or folders whose clips can be chosen as styles."""
    clips: tuple[str, ...] = ()
    """Names or tags to keep of them."""
    replan: Positive = 0.2
    """Time between plans [s]."""
    frame: Literal["heading", "world"] = "heading"
    """Frame of the command: heading turns with the body; in world the body turns to where it goes."""
    out: str = "teleop_out"
    """Folder for videos."""
    seconds: NonNegative = 0.0
    """Time after which it ends [s]; 0: when interrupted."""
    headless: bool = False
    """No page: a scripted input steers for --seconds, to measure."""

    def __post_init__(self) -> None:
        """Require an end where there is no page."""
        super().__post_init__()
        if self.headless and self.seconds == 0.0:
            raise ConfigError("headless without seconds would never end; give --seconds")


@dataclass(frozen=True, kw_only=True)
class InpaintCfg(_GuidedCfg):
    """Fill in a motion between keyframes, in physics: npz, video and the error at each keyframe."""

    keyframes: Positional[str]
    """Keyframe file (YAML or npz), or a motion (npz) with --holes or --every."""
    holes: tuple[Span, ...] = ()
    """Parts of a motion to replace, in seconds, such as 1.0:2.4."""
    every: NonNegative = 0.0
    """Keep only the poses of a motion this far apart [s]."""
    out: str = "inpaint_out"
    """Folder for inpaint.npz, inpaint.mp4, metrics.json and report.md."""
    tries: Count = 8
    """Bodies that try at once; the best is kept."""
    seed: int = 0
    """Seed of the plans' noise."""
    video: bool = True
    """Render."""

    def __post_init__(self) -> None:
        """Require one kind of gap."""
        super().__post_init__()
        if self.holes and self.every:
            raise ConfigError("both holes and every are given; leave one out")


@dataclass(frozen=True, kw_only=True)
class TrainingCfg:
    """Train a policy; the same command resumes a run that was stopped."""

    what: Positional[Literal["track", "latent", "diffusion"]]
    """Tracker of motion capture (track), skills distilled from a tracker (latent), or the planner of those
    skills from the data of 'humanoid collect' (diffusion)."""
    config: Positional[str] = ""
    """YAML file, or the name of a shipped one (track, track_cpu, track_library, track_g1, latent, latent_cpu,
    diffusion, diffusion_cpu); by default the one with the name of the first word."""
    overrides: Positional[tuple[str, ...]] = ()
    """Assignments such as num_envs=512 ppo.learning_rate=3e-4."""
    runs: str = "runs"
    """Folder of run folders; results go to RUNS/NAME."""


@dataclass(frozen=True, kw_only=True)
class CollectionCfg:
    """Record latent skills under noise: the data of 'humanoid train diffusion'. Resumes."""

    config: Positional[str] = "rollouts"
    """YAML file, or the name of a shipped one (rollouts, rollouts_cpu)."""
    overrides: Positional[tuple[str, ...]] = ()
    """Assignments such as num_envs=512 collect.cover=20."""
    runs: str = "runs"
    """Folder; the rollouts go to RUNS/NAME."""


@dataclass(frozen=True, kw_only=True)
class TrackEvalCfg(PerturbCfg):
    """Measure a tracker on every clip from its start, or pushed while it walks."""

    perturb: bool = False
    """Push walks and runs every second, harder and harder, and find where half fall."""


@dataclass(frozen=True, kw_only=True)
class GuidedEvalCfg(TaskEvalCfg):
    """Measure guided skills on a task that no training has seen, with guidance on and off."""

    frame: Literal["world", "heading"] = "world"
    """Frame of the joystick's four directions."""
    ways: bool = True
    """forest: follow a cost-to-go field round the pillars; without it the obstacles' cost alone steers."""
    replan: Positive = 0.2
    """Time between plans [s]."""
    latency: Natural = 0
    """Frames of 0.04 s until a plan is ready."""
    steps: int = 8
    """Denoising steps of a plan."""
    weights: tuple[str, ...] = ()
    """COST=WEIGHT, such as joystick=2 obstacles=0.5; the others keep their defaults."""


@dataclass(frozen=True, kw_only=True)
class ExportCfg(Checked):
    """Write a tracker, latent skills or a guided planner as an ONNX file, and check it against torch."""

    checkpoint: Positional[str] = ""
    """Tracker, latent skills or planner; the shipped tracker by default."""
    out: str = "policy.onnx"
    """File to write."""
    format: Literal["auto", "policy", "beyondmimic"] = "auto"
    """policy (observations in, actions out), beyondmimic (with a motion inside, as its controllers read it)
    or auto: the latter for a G1 or where a motion is named."""
    motion: str = ""
    """Clip that goes inside; by default the only one of the training."""
    motions: str = ""
    """Manifest, file or folder with that clip; by default that of the training."""
    steps: Annotated[int, Interval(1, 20)] = 5
    """Denoising steps of an exported planner."""
    obstacles: Count = 8
    """Pillars or bars, and boxes, that an exported planner takes at most."""
    costs: tuple[str, ...] = ()
    """Costs of an exported planner by name; by default all, of which each takes its time."""


@dataclass(frozen=True, kw_only=True)
class ReplayCfg(Checked):
    """Re-run the control step at which a training environment diverged, in either simulator."""

    dump: Positional[str]
    """File of the dumps folder of a run."""
    sim: Sim = "mujoco"
    """Simulator."""
    device: str = "cpu"
    """torch device; mujoco runs on cpu only."""
    steps: Count = 5
    """Control steps; the targets of the first are held in the others."""
    video: str = ""
    """Video to write, MP4; none by default."""


@dataclass(frozen=True, kw_only=True)
class BenchCfg(Checked):
    """Measure the throughput of the simulator, of the environment and of training."""

    backends: tuple[Sim, ...] = ("mujoco", "genesis")
    """Simulators to measure."""
    num_envs: tuple[Count, ...] = ()
    """Numbers of environments; by default a few that suit the device."""
    device: str = ""
    """torch device of genesis, by default cuda where there is one; mujoco runs on cpu."""
    config: str = ""
    """Training configuration; track_cpu on a CPU and track on a GPU by default."""
    seconds: Positive = 10.0
    """Time of each measurement [s]."""


@dataclass(frozen=True, kw_only=True)
class _MotionsCfg(Checked):
    """Body and clips of motions."""

    embodiment: str = "smpl"
    """Body of the motions, or to retarget captures to: smpl, smpl_ball, g1, h1, or with its file, g1:PATH."""
    clips: tuple[str, ...] = ()
    """Names or tags to keep of a manifest; where one word is both, clip:walk or tag:walk."""


@dataclass(frozen=True, kw_only=True)
class ListCfg:
    """List the shipped motion sets, or the clips of one and whether their files are there."""

    source: Positional[str] = ""
    """Manifest (path or name of a shipped one); the shipped sets by default."""
    clips: tuple[str, ...] = ()
    """Names or tags to keep; where one word is both, clip:walk or tag:walk."""
    split: Part = ""
    """Keep the clips to learn from (train) or the held-out ones (test)."""


@dataclass(frozen=True, kw_only=True)
class ConvertCfg(LoadCfg, _MotionsCfg):
    """Retarget captures to a body and write NAME.npz for each into --out.

    Files that exist already, newer and made with the same settings, are skipped. A file that
    fails stops no other; exit code 1 if any failed.
    """

    sources: Positional[tuple[str, ...]] = ()
    """Capture files, robot files, folders, manifests."""
    out: str
    """Folder for the npz files."""
    split: Part = ""
    """Keep the clips of a manifest to learn from (train) or the held-out ones (test)."""
    map: str = ""
    """YAML file that names the joints of an unusual skeleton."""
    rate: Positive = 50.0
    """Frames per second of the motions, the control rate."""
    workers: Natural = 0
    """Processes; 0: one a core, 1: this one only."""
    force: bool = False
    """Convert files again that are up to date."""


@dataclass(frozen=True, kw_only=True)
class CheckCfg(QualityCfg, _MotionsCfg):
    """Check motions: foot skate, penetration, limits, flight; exit code 1 if any is broken."""

    sources: Positional[tuple[str, ...]] = ()
    """Npz motions, capture files, robot files, folders, manifests."""
    plot: str = ""
    """PNG file for one motion, or folder for NAME.png of each; none by default."""


@dataclass(frozen=True, kw_only=True)
class SegmentationCfg(_MotionsCfg):
    """Cut long motions into skills where a predictor of the next frames fails."""

    source: Positional[str]
    """Manifest, capture file, npz motion or folder of these."""
    out: str = ""
    """Folder for the segments as npz; without it their times are printed only."""


@dataclass(frozen=True, kw_only=True)
class ViewCfg(_MotionsCfg):
    """Open a page that shows the captured skeleton and the body side by side."""

    source: Positional[str]
    """Npz motion, capture file, robot file, folder of these, or manifest."""
    port: int = 8080
    """Port on this machine; the next free one where it is taken."""


@dataclass(frozen=True, kw_only=True)
class DownloadSourceCfg:
    """List the public sources, or download one into the user's cache."""

    name: Positional[str] = ""
    """Source; a list of all by default."""
    folder: str = ""
    """Where to put it; its place in the user's cache by default."""
    only: tuple[str, ...] = ()
    """Patterns of the files to fetch; all by default."""
    index: str = ""
    """Package index of wheels (g1); PIP_INDEX_URL or PyPI by default."""
    force: bool = False
    """Fetch existing files again, and accept checksums that were not known beforehand."""
