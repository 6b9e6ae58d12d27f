"""Table of release stages: training pieces, inputs and gates."""

from __future__ import annotations

from tools.release_gates import DiffusionGate, LatentGate, RolloutGate, TrackerGate
from tools.release_skills import DiffusionStage, LatentStage, RolloutStage
from tools.release_stage import Piece, Stage
from tools.release_tracker import TrackerStage

LIBRARY = tuple(
    f"motions/{name}.yaml" for name in ("humanoid3d", "humanoid3d_long", "cmu02", "amp", "ballplay")
)
"""Every motion set."""
SHORT = "clips=[walk,turn,run,crawl,getup]"
"""First clips for two cores."""
LONG = (
    "motions=[humanoid3d,humanoid3d_long,cmu02,amp,ballplay]",
    "split=train",
    "clips=[walk,humanoid3d/run,jog,amp/run,cmu02/run,crawl,getup,pass,catch]",
)
"""Clips of their second stage: every walk, run and get-up."""
CALM = (
    *LONG[:2],
    "clips=[walk,humanoid3d/run,jog,amp/run,cmu02/run,crawl,humanoid3d/getup_facedown,ballplay/getup12,pass,catch]",
)
"""Clips of the third stage, without pushes and falls: every walk and run, and the feasible get-ups."""
WALKING = (
    "humanoid3d/walk",
    "walk_forward",
    "turn_left0",
    "turn_left1",
    "turn_right0",
    "turn_right1",
    "long_walk1",
)
"""Walks and turns, what the planner composes."""
WALKS = (
    "motions=[humanoid3d,humanoid3d_long,cmu02]",
    "split=train",
    "mirror=true",
    f"clips=[{','.join((*WALKING, 'humanoid3d/crawl', 'humanoid3d/getup_facedown'))}]",
)
"""Clips of the walker: these and their mirror images, and clips that keep it on the floor for a while."""
GENTLE = ("ppo.entropy=0.0", "num_envs=512")
ROBUST = ("task.event.push_seconds=[1,3]", "task.start.fallen=0.1", "task.start.pool=1024")
"""Pushes, and falls to get up from."""
ANCHORED = ("task.reward.anchor_pos.weight=1.0",)
"""Twice the weight on the place: pushed bodies drift, and half a metre is a failure."""

TRACKED = TrackerGate(
    success=0.98, mpjpe_l_success_mm=35.0, test_success=0.85, spread=0.03, upright=0.95, recovered=0.9
)
"""Thresholds of every tracker of the library."""
WALKED_WELL = TrackerGate(success=0.98, mpjpe_l_success_mm=50.0, test_success=0.85, spread=0.03, upright=0.9)
"""Thresholds of a walker on its walks and turns."""
LEARNED = (
    Piece(config="track_cpu", overrides=("samples=5.7e6",)),
    Piece(
        config="track_cpu",
        overrides=(SHORT, "ppo.learning_rate=2e-4", "ppo.entropy=0.0", "samples=2.8e7"),
    ),
    Piece(
        config="track_cpu",
        overrides=(*LONG, *GENTLE, *ROBUST, *ANCHORED, "ppo.learning_rate=2e-4", "samples=4.2e7"),
    ),
    Piece(
        config="track_cpu",
        overrides=(*CALM, *GENTLE, *ANCHORED, "ppo.learning_rate=1.5e-4", "samples=4.5e7"),
    ),
)
"""How two cores learn the library."""
WALKED = (
    *WALKS,
    *ANCHORED,
    "task.event.push_seconds=[1,3]",
    "task.event.push_twist=[0.5,0.5,0.1,0.3,0.3,0.5]",
)
"""How a walker goes on: pushed on walks and their mirror images."""
ON_FOOT = (
    *WALKS[:3],
    f"clips=[{','.join(WALKING)}]",
    *ANCHORED,
    "task.event.push_seconds=[0.6,2.0]",
    "task.event.push_twist=[0.7,0.7,0.1,0.3,0.3,0.5]",
    "task.termination.body_distance=0.8",
    "task.curriculum.samples=0",
)
"""How it ends: on its feet alone, under harder pushes, with more way to come back on; an episode that
ends half a metre off teaches nobody to step."""

ROLLOUTS = RolloutStage(
    name="rollout",
    inputs=(*LIBRARY, "humanoid/pretrained/latent.pt"),
    gate=RolloutGate(kept=0.7, hours=2.0),
    gpu=(Piece(config="rollouts"),),
    cpu=(Piece(config="rollouts_cpu"),),
)

STAGES: tuple[Stage, ...] = (
    TrackerStage(
        name="tracker",
        inputs=LIBRARY,
        output="tracker.pt",
        gate=TRACKED,
        gpu=(Piece(config="track_library"),),
        cpu=LEARNED,
        cpu_shows=("walk", "turn", "crawl", "getup"),
    ),
    TrackerStage(
        name="walker",
        inputs=LIBRARY,
        output="walker.pt",
        gate=WALKED_WELL,
        clips=WALKING,
        measures=("train", "test", "pushed"),
        gpu=(
            Piece(config="track_library"),
            Piece(config="track_library", overrides=(*ON_FOOT, "stroll.count=24", "samples=3.3e9")),
        ),
        cpu=(
            *LEARNED,
            Piece(
                config="track_cpu",
                overrides=(*WALKED, *GENTLE, "ppo.learning_rate=2e-4", "samples=5.3e7"),
            ),
            Piece(
                config="track_cpu",
                overrides=(*ON_FOOT, *GENTLE, "ppo.learning_rate=2e-4", "samples=6.0e7"),
            ),
        ),
        cpu_shows=("walk", "turn"),
    ),
    LatentStage(
        name="latent",
        inputs=(*LIBRARY, "humanoid/pretrained/walker.pt"),
        output="latent.pt",
        gate=LatentGate(success_below=0.02, mpjpe_l_above_mm=10.0, prior_falls=0.2),
        gpu=(Piece(config="latent"),),
        cpu=(Piece(config="latent_cpu"),),
        cpu_shows=("clip:walk",),
    ),
    ROLLOUTS,
    DiffusionStage(
        name="diffusion",
        inputs=("humanoid/pretrained/latent.pt", "runs/release_rollout"),
        output="diffusion-small.pt",
        rollouts=ROLLOUTS,
        gate=DiffusionGate(
            joystick_error=0.15,
            joystick_falls=0.05,
            waypoint_success=0.9,
            forest_success=0.9,
            perturb_falls=0.1,
            inbetween_falls=0.25,
            inbetween_mpjpe_l_mm=116.0,
            composed=0.8,
            drop=0.1,
        ),
        # the planner that ships is one for two cores, whoever trains it
        gpu=(Piece(config="diffusion", overrides=("preset=small",)),),
        cpu=(Piece(config="diffusion_cpu"),),
    ),
    TrackerStage(
        name="tracker-g1",
        inputs=("motions/humanoid3d.yaml",),
        output="tracker-g1.pt",
        gate=TrackerGate(success=0.95, mpjpe_l_success_mm=60.0),
        gpu=(Piece(config="track_g1"),),
        measures=("train",),
    ),
)
