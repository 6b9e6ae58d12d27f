"""Plans without torch: those of the torch planner with the same noise, in a process that has no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import ConfigError, InputError
from humanoid.diffusion.model import DiffusionModel
from humanoid.diffusion.trajectory import VEL
from humanoid.export.costs import Cost, Heading, Joystick, Keyframe, Waypoint
from humanoid.export.guidance import Guidance
from humanoid.export.obstacles import Capsules, Obstacles
from humanoid.export.plan import Keyframes, Plan, Planner, Window
from humanoid.export.sampling import Draw
from humanoid.export.skills_onnx import write_denoiser, write_skills
from humanoid.export.skills_runtime import OnnxDenoiser
from humanoid.export.steer import Steer
from humanoid.planning import guidance as torch_guidance
from humanoid.planning import planner, sampler
from humanoid.planning.costs import obstacles as costs_scene
from humanoid.planning.costs import pose as costs_pose
from humanoid.planning.costs import steering as torch_costs
from humanoid.planning.sampler_cfg import DdimCfg
from humanoid.skills.skills import Skills
from tests.export.skill_samples import CFG, LATENT, diffusion_model, features, latent_content

BATCH, NOW = 3, CFG.history
PLACES, THICK = np.array([[0.5, 0.2], [-0.4, 0.8]]), np.array([0.2, 0.3])
GOALS = np.random.default_rng(2).normal(size=(1, 2, 3))


@pytest.fixture(scope="module")
def model(body: Embodiment) -> DiffusionModel:
    """An untrained diffusion model of the default body."""
    return diffusion_model(body, "0123456789abcdef")


@pytest.fixture(scope="module")
def denoiser(model: DiffusionModel, tmp_path_factory: pytest.TempPathFactory) -> OnnxDenoiser:
    """The same, exported."""
    path = tmp_path_factory.mktemp("plan") / "diffusion.onnx"
    write_denoiser(model, path, "")
    return OnnxDenoiser(path)


@pytest.fixture
def window(model: DiffusionModel) -> Window:
    """What three bodies did, with a gap in the past of one of them."""
    world = features(model.layout, NOW + 1, seed=4, batch=BATCH).numpy()
    latents = np.random.default_rng(0).normal(size=(BATCH, NOW, LATENT)).astype(np.float32)
    known, states_known = np.ones((BATCH, NOW), bool), np.ones((BATCH, NOW + 1), bool)
    known[1, 0] = states_known[1, 0] = False
    world[1, 0], latents[1, 0] = np.nan, np.nan
    return Window(features=world, latents=latents, latents_known=known, states_known=states_known, tick=10)


@pytest.fixture
def keyframes(model: DiffusionModel) -> Keyframes:
    """Keyframes within and beyond the horizon, two of them at one frame."""
    world = features(model.layout, 4, seed=6, batch=BATCH).numpy()
    mask = np.zeros(world.shape, bool)
    mask[:, :2], mask[1, 2, 15:30], mask[:, 3] = True, True, True
    return Keyframes(frame=np.array([[3.0, 99.0, 3.4, -1.0]] * BATCH), features=world, mask=mask)


def _costs(radius: np.ndarray) -> tuple[list[Cost], list[Any]]:
    pillars = torch.from_numpy(PLACES), torch.from_numpy(THICK)
    names = ("root", "L_Wrist")
    return [
        Joystick(velocity=(1.0, 0.2), yaw_rate=0.3),
        Steer(speed=0.7, pos_w=(2.0, -1.0)),
        Waypoint(pos_w=(0.4, 1.3), reach=1.0),
        Heading(yaw=0.5),
        Obstacles(groups=(Capsules.pillars(PLACES, THICK),), body_radius=radius),
        Keyframe(frames=[4.5], positions_w=GOALS, bodies=names),
    ], [
        torch_costs.Joystick(velocity=(1.0, 0.2), yaw_rate=0.3),
        torch_costs.Steer(speed=0.7, pos_w=(2.0, -1.0)),
        torch_costs.Waypoint(pos_w=(0.4, 1.3), reach=1.0),
        torch_costs.Heading(yaw=0.5),
        costs_scene.Obstacles(capsules=costs_scene.Capsules.pillars(*pillars)),
        costs_pose.Keyframe(frames=[4.5], positions_w=torch.from_numpy(GOALS), bodies=names),
    ]


WEIGHTS = {"waypoint": 0.3, "obstacles": 0.05}


def _drawn(seed: int) -> Draw:
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.empty(shape).normal_(generator=generator).numpy()


def _tensors(values: Any) -> dict[str, Any]:
    given = {name: getattr(values, name) for name in values.__dataclass_fields__}
    return {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in given.items()}


def _same(found: Plan, wanted: planner.Plan) -> None:
    np.testing.assert_allclose(found.features, wanted.features.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.latents, wanted.latents.numpy(), atol=1e-4)
    for name, value in wanted.values.items():
        np.testing.assert_allclose(found.values[name], value.numpy(), rtol=1e-3, atol=1e-3)


def test_defaults_are_those_of_torch() -> None:
    assert sampler.SamplerCfg().kind == "ddim" and planner.REACH == 0.5


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"steps": 5, "guide_steps": 2, "guide_scale": 0.5},
        {"warm_rise": 4, "warm_level": 9, "guide_turn": 0.0, "guide_clip": 0.5},
        {"steps": 1, "guide_push": 1.0, "join": 0.0},
    ],
)
def test_plans_are_those_of_torch(
    denoiser: OnnxDenoiser,
    model: DiffusionModel,
    window: Window,
    keyframes: Keyframes,
    parts: dict[str, Any],
) -> None:
    mine = Planner(denoiser, DdimCfg(**parts))
    theirs = planner.Planner(model, sampler.SamplerCfg(**parts))
    costs, torch_of = _costs(denoiser.metadata.body_radius)
    guidance, torch_guided = Guidance(costs, WEIGHTS), torch_guidance.Guidance(torch_of, WEIGHTS)

    bare = mine.plan(window, draw=_drawn(1))
    _same(bare, theirs.plan(planner.Window(**_tensors(window)), generator=torch.Generator().manual_seed(1)))

    found, wanted = None, None
    for tick in (10, 12):  # the second begins from the first
        now = replace(window, tick=tick)
        found = mine.plan(now, guidance, keyframes, found, _drawn(tick))
        wanted = theirs.plan(
            planner.Window(**_tensors(now)),
            torch_guided,
            planner.Keyframes(**_tensors(keyframes)),
            wanted,
            torch.Generator().manual_seed(tick),
        )
        _same(found, wanted)
    assert found is not None and np.abs(found.features - bare.features).max() > 0.1


def test_the_past_and_keyframes_hold(denoiser: OnnxDenoiser, window: Window, keyframes: Keyframes) -> None:
    plan = Planner(denoiser).plan(window, Guidance([Joystick(velocity=(9.0, 0.0))]), keyframes)
    np.testing.assert_allclose(plan.features[0, : NOW + 1], window.features[0], atol=1e-5)
    np.testing.assert_allclose(plan.features[0, NOW + 3], keyframes.features[0, 0], atol=1e-5)
    np.testing.assert_allclose(plan.features[1, NOW + 3, 15:30], keyframes.features[1, 2, 15:30], atol=1e-5)


def test_guidance_moves_plans_where_it_points(denoiser: OnnxDenoiser, window: Window) -> None:
    fast = Joystick(velocity=(3.0, 0.0), frame="world")
    free = Planner(denoiser, seed=1).plan(window)
    guided = Planner(denoiser, seed=1).plan(window, Guidance([fast]))
    forward = [plan.features[:, NOW + 1 :, VEL.start].mean() for plan in (free, guided)]
    assert forward[1] > forward[0] + 0.1


def test_a_previous_plan_counts_where_the_body_is(denoiser: OnnxDenoiser, window: Window) -> None:
    mine = Planner(denoiser)
    first = mine.plan(window, draw=_drawn(1))
    near = mine.plan(window, previous=first, draw=_drawn(2))
    moved = replace(first, features=first.features + 9.0)
    far, fresh = (mine.plan(window, previous=p, draw=_drawn(2)) for p in (moved, None))
    np.testing.assert_array_equal(far.latents, fresh.latents)
    assert np.abs(near.latents - fresh.latents).max() > 1e-3
    old = replace(first, tick=window.tick - CFG.horizon)
    np.testing.assert_array_equal(mine.plan(window, previous=old, draw=_drawn(2)).latents, fresh.latents)


def test_latents_of_a_plan_by_its_age(denoiser: OnnxDenoiser, window: Window) -> None:
    plan = Planner(denoiser).plan(window)
    for age in range(CFG.latent_horizon):
        held = plan.latent(age)
        assert held is not None and np.array_equal(held, plan.latents[:, age])
    assert plan.latent(CFG.latent_horizon) is None and plan.latent(-1) is None


def test_the_seed_makes_the_noise(denoiser: OnnxDenoiser, window: Window) -> None:
    one, same, other = (Planner(denoiser, seed=seed).plan(window).latents for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_what_does_not_fit_is_refused(denoiser: OnnxDenoiser, window: Window, keyframes: Keyframes) -> None:
    mine, lost = Planner(denoiser), window.features.copy()
    lost[2, 1, 4] = np.nan
    half = keyframes.mask.copy()
    half[0, 0, 1] = False
    late = np.full_like(keyframes.frame, np.inf)
    blind = window.states_known & (np.arange(NOW + 1) < NOW)
    for changed, keys, message in (
        (replace(window, features=window.features[:, 1:]), None, "window.features: its shape is"),
        (replace(window, features=lost), None, "body 2: a known state of the window is not finite"),
        (replace(window, states_known=blind), None, "body 0: the state of now is not known"),
        (window, replace(keyframes, mask=half), "body 0: a keyframe gives only x or only y"),
        (window, replace(keyframes, frame=late), "body 0: the time of a keyframe is not finite"),
    ):
        with pytest.raises(InputError, match=message):
            mine.plan(changed, keyframes=keys)
    alone = replace(window, **{name: getattr(window, name)[:1] for name in vars(window) if name != "tick"})
    previous = mine.plan(alone)
    with pytest.raises(InputError, match="previous.features: its shape is"):
        mine.plan(window, previous=previous)
    nan = float("nan")
    wrong: list[dict[str, Any]] = [{"steps": 0}, {"guide_clip": 0.0}, {"warm_rise": -1}, {"guide_scale": nan}]
    wrong += [{"guide_turn": -0.1}, {"guide_push": nan}, {"join": -1.0}]
    for parts in wrong:
        with pytest.raises(ConfigError, match=f"sampler.{next(iter(parts))} is"):
            DdimCfg(**parts)


WITHOUT_TORCH = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is not for robots")

sys.meta_path.insert(0, Refusing())
import numpy as np
from humanoid.export.costs import Joystick
from humanoid.export.guidance import Guidance
from humanoid.export.obstacles import Capsules, Obstacles
from humanoid.export.plan import Planner, Window
from humanoid.export.skills_runtime import OnnxDenoiser, OnnxSkills

denoiser, skills = OnnxDenoiser(sys.argv[1]), OnnxSkills(sys.argv[2])
denoiser.require(skills.metadata)
layout, meta = denoiser.layout, skills.metadata
pillars = Capsules.pillars([[1.5, 0.1]], [0.2])
guidance = Guidance([
    Joystick(velocity=(1.0, 0.0), yaw_rate=0.1),
    Obstacles(groups=(pillars,), body_radius=denoiser.metadata.body_radius),
])
planner, plan, previous = Planner(denoiser), None, None
past = np.zeros((1, layout.history + 1, layout.width), np.float32)
past[..., 3] = past[..., 7] = 1.0
latents = np.zeros((1, layout.history, denoiser.latent_width), np.float32)
felt = np.zeros((1, sum(meta.observation_widths)), np.float32)
for tick in range(5):
    if tick % 2 == 0:
        window = Window(
            features=past, latents=latents, latents_known=np.ones(latents.shape[:2], bool),
            states_known=np.ones(past.shape[:2], bool), tick=tick,
        )
        plan = planner.plan(window, guidance, previous=plan)
    latent = plan.latent(tick - plan.tick)
    for _ in range(meta.latent_hold):
        targets, actions = skills.targets(felt, latent)
        assert targets.shape == (1, len(meta.joint_names)) and np.isfinite(targets).all()
    expected = plan.features[:, layout.history + 1 + tick - plan.tick]
    past = np.concatenate((past[:, 1:], expected[:, None]), axis=1)
    latents = np.concatenate((latents[:, 1:], latent[:, None]), axis=1)
assert np.isfinite(past).all() and guidance.dropped == {"joystick": 0, "obstacles": 0}
ours = sorted(name for name in sys.modules if name.startswith("humanoid.") and name.count(".") == 1)
print([name for name in ("torch", "genesis", "mujoco") if name in sys.modules], ours)
"""


def test_planning_and_decoding_need_no_torch(
    denoiser: OnnxDenoiser, body: Embodiment, tmp_path: Path
) -> None:
    torch.save(latent_content(body), tmp_path / "latent.pt")
    skills = Skills.load(tmp_path / "latent.pt")
    write_skills(skills, tmp_path / "latent.onnx", "", "0123456789abcdef")
    command = [sys.executable, "-c", WITHOUT_TORCH, str(denoiser.path), str(tmp_path / "latent.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] ['humanoid.core', 'humanoid.diffusion', 'humanoid.export']"
