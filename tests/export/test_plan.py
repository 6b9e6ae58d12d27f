"""Exported planners: the numbers of the planner in torch, in a process that has no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from humanoid.bodies import Embodiment
from humanoid.core import InputError, MismatchError
from humanoid.diffusion import Trajectory
from humanoid.export import OnnxPlan, OnnxPlanner, PlanMetadata, write_plan, write_skills
from humanoid.export.metadata import of_skills
from humanoid.export.plan_onnx import commands_of, default_costs, with_commands
from humanoid.nn import Header
from humanoid.planning import DiffusionPlanner, Guidance, Keyframes, Plan, SamplerCfg, Window
from humanoid.planning.costs import Capsules, Cost, Obstacles, PathField, PathFieldCfg, Steer
from humanoid.skills import Skills
from humanoid.skills.model import PROPRIOCEPTION
from tests.export.skill_samples import CFG, LATENT, diffusion_model, features, latent_content

BATCH, NOW, PILLARS = 2, CFG.history, 3


@dataclass(frozen=True, eq=False)
class Crouch:
    """A user's cost with a command: the height of the root."""

    height: Tensor
    name: str = "crouch"

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return half squared errors of the height (B,)."""
        return 0.5 * (trajectory.root_pos_w[:, trajectory.future, 2] - self.height).square().sum(1)


class Calm:
    """A user's cost without a command."""

    name = "calm"

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return half squared speeds (B,)."""
        return 0.5 * trajectory.root_lin_vel_w[:, trajectory.future].square().sum((1, 2))


@dataclass(frozen=True)
class Branching:
    """A cost that looks at a number."""

    limit: Tensor
    name: str = "branching"

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return heights (B,), or none."""
        height = trajectory.root_pos_w[..., 2].sum(1)
        return height if self.limit.item() > 0.0 else 0.0 * height


@pytest.fixture(scope="module")
def planner(body: Embodiment) -> DiffusionPlanner:
    """An untrained planner of the default body."""
    return DiffusionPlanner(diffusion_model(body, "0123456789abcdef"), SamplerCfg(steps=2))


@pytest.fixture(scope="module")
def costs(planner: DiffusionPlanner) -> list[Cost]:
    """Every cost of the package, a path field, and two of a user."""
    pillar = Obstacles(capsules=Capsules.pillars(torch.tensor([[1.0, 0.1]]), torch.tensor([0.2])))
    coarse = PathFieldCfg(spacing=0.5, margin=1.0)
    ways = PathField(
        goal_w=torch.tensor([[2.0, 0.0], [1.0, 1.0]]), start_w=[0.0, 0.0], obstacles=pillar, cfg=coarse
    )
    return [
        *default_costs(planner.layout, PILLARS, BATCH),
        Steer(speed=torch.zeros(BATCH), path=ways, name="path"),
        Crouch(torch.zeros(1)),
        Calm(),
    ]


@pytest.fixture(scope="module")
def exported(
    planner: DiffusionPlanner, costs: list[Cost], tmp_path_factory: pytest.TempPathFactory
) -> OnnxPlanner:
    path = tmp_path_factory.mktemp("plan") / "plan.onnx"
    assert max(write_plan(planner, path, "runs/plan", costs, BATCH).values()) < 1e-5
    return OnnxPlanner(path)


@pytest.fixture
def window(planner: DiffusionPlanner) -> Window:
    """What two bodies did, with a gap in the past of one of them."""
    world, latents = features(planner.layout, NOW + 1, seed=4, batch=BATCH), torch.randn(BATCH, NOW, LATENT)
    known, states_known = torch.ones(BATCH, NOW) > 0, torch.ones(BATCH, NOW + 1) > 0
    known[1, 0] = states_known[1, 0] = False
    world[1, 0], latents[1, 0] = torch.nan, torch.nan
    return Window(world, latents, known, states_known, tick=10)


@pytest.fixture
def keyframes(planner: DiffusionPlanner) -> Keyframes:
    """Within and beyond the horizon, two of them at one frame."""
    world = features(planner.layout, 3, seed=6, batch=BATCH)
    mask = torch.zeros(world.shape, dtype=torch.bool)
    mask[:, :2], mask[1, 2, 15:30] = True, True
    return Keyframes(torch.tensor([[3.0, 99.0, 3.4]] * BATCH), world, mask)


def _commands(costs: list[Cost], seed: int = 0) -> dict[str, Tensor]:
    """Return random commands, the shapes of obstacles positive."""
    generator = torch.Generator().manual_seed(seed)
    made = {name: torch.randn(v.shape, generator=generator) for name, v in commands_of(costs).items()}
    return {name: v.abs() if name.endswith(("radius", "half", "nodes")) else v for name, v in made.items()}


def _nested(names: list[str], commands: dict[str, Tensor]) -> dict[str, dict[str, np.ndarray]]:
    split = ((*name.split(".", 1), value) for name, value in commands.items())
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    for cost, part, value in split:
        if cost in found:
            found[cost][part] = value.numpy()
    return found


def _run(exported: OnnxPlanner, window: Window, seed: int, **given: Any) -> OnnxPlan:
    """Plan with the noise that torch draws from a seed."""
    generator, shapes = torch.Generator().manual_seed(seed), exported.metadata.shapes
    names = ("noise_states", "noise_latents")
    states, latents = (torch.empty(shapes[name]).normal_(generator=generator).numpy() for name in names)
    keys = given.pop("keyframes", None)
    if keys is not None:
        given["keyframes"] = {name: getattr(keys, name).numpy() for name in ("frame", "features", "mask")}
    return exported.plan(
        window.features.numpy(), window.latents.numpy(), tick=window.tick, noise=(states, latents),
        states_known=window.states_known.numpy(), latents_known=window.latents_known.numpy(), **given,
    )  # fmt: skip


def _same(found: OnnxPlan, wanted: Plan) -> None:
    np.testing.assert_allclose(found.features, wanted.features.numpy(), atol=2e-5)
    np.testing.assert_allclose(found.latents, wanted.latents.numpy(), atol=2e-5)
    assert found.values.keys() == wanted.values.keys()
    for name, value in wanted.values.items():
        np.testing.assert_allclose(found.values[name], value.numpy(), rtol=1e-4, atol=1e-4)


def test_all_costs_at_once_with_keyframes_and_a_warm_start(
    exported: OnnxPlanner, planner: DiffusionPlanner, costs: list[Cost], window: Window, keyframes: Keyframes
) -> None:
    names = [cost.name for cost in costs]
    assert list(exported.metadata.costs) == names
    found, wanted = None, None
    for tick in (10, 12):  # the second begins from the first
        commands, now = _commands(costs, tick), replace(window, tick=tick)
        guidance = Guidance(with_commands(costs, commands))
        wanted = planner.plan(now, guidance, keyframes, wanted, torch.Generator().manual_seed(tick))
        found = _run(
            exported, now, tick, costs=_nested(names, commands), weights=dict.fromkeys(names, 1.0),
            keyframes=keyframes, previous=found,
        )  # fmt: skip
        _same(found, wanted)
        assert found.dropped == wanted.dropped
    assert found is not None
    np.testing.assert_allclose(found.features[0, : NOW + 1], window.features[0], atol=1e-5)
    np.testing.assert_allclose(found.features[0, NOW + 3], keyframes.features[0, 0], atol=1e-5)
    later = keyframes.features[1, 2, 15:30]
    np.testing.assert_allclose(found.features[1, NOW + 3, 15:30], later, atol=1e-5)


def test_each_cost_alone(
    exported: OnnxPlanner, planner: DiffusionPlanner, costs: list[Cost], window: Window
) -> None:
    free = planner.plan(window, generator=torch.Generator().manual_seed(1))
    _same(_run(exported, window, 1), free)
    commands = _commands(costs)
    for cost in costs:
        guidance = Guidance(with_commands([cost], commands), [exported.metadata.costs[cost.name]])
        wanted = planner.plan(window, guidance, generator=torch.Generator().manual_seed(1))
        _same(_run(exported, window, 1, costs=_nested([cost.name], commands)), wanted)
        moved = float((wanted.features - free.features).abs().max())
        assert moved > 1e-4, cost.name
        off = _run(exported, window, 1, costs=_nested([cost.name], commands), weights={cost.name: 0.0})
        _same(off, free)


def test_fewer_obstacles_than_the_graph_holds(
    exported: OnnxPlanner, planner: DiffusionPlanner, window: Window
) -> None:
    places, radius = window.features[:, -1:, :2] + 0.3, torch.full((BATCH, 1), 0.2)
    pillar = Capsules.pillars(places, radius)
    guidance = Guidance([Obstacles(capsules=pillar)], [3.0])
    wanted = planner.plan(window, guidance, generator=torch.Generator().manual_seed(1))
    given = {f"capsules.{name}": getattr(pillar, name).numpy() for name in ("start_w", "end_w", "radius")}
    _same(_run(exported, window, 1, costs={"obstacles": given}), wanted)
    assert float(wanted.values["obstacles"].min()) > 0.1


def test_a_previous_plan_counts_where_the_body_is(exported: OnnxPlanner, window: Window) -> None:
    first = _run(exported, window, 1)
    near, fresh = (_run(exported, window, 2, previous=plan) for plan in (first, None))
    assert np.abs(near.latents - fresh.latents).max() > 1e-3
    for useless in (
        replace(first, features=first.features + 9.0),
        replace(first, tick=window.tick - CFG.horizon),
        replace(first, tick=window.tick + 1),
    ):
        found = _run(exported, window, 2, previous=useless)
        np.testing.assert_allclose(found.latents, fresh.latents, atol=1e-6)


def test_a_cost_that_is_not_finite_is_dropped(exported: OnnxPlanner, window: Window) -> None:
    found = _run(exported, window, 1, costs={"crouch": {"height": [1e30]}, "calm": {}})
    wanted = _run(exported, window, 1, costs={"calm": {}})
    assert found.dropped == {"crouch": BATCH} and wanted.dropped == {}
    np.testing.assert_allclose(found.features, wanted.features, atol=1e-6)


def test_latents_by_age_and_noise_by_seed(exported: OnnxPlanner, window: Window) -> None:
    past = (np.nan_to_num(window.features.numpy()), np.nan_to_num(window.latents.numpy()))
    one, same, other = (OnnxPlanner(exported.path, seed=s).plan(*past, tick=0) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.latents, same.latents)
    assert np.abs(one.latents - other.latents).max() > 1e-3
    held = one.latent(1)
    assert held is not None and np.array_equal(held, one.latents[:, 1])
    assert one.latent(CFG.latent_horizon) is None and one.latent(-1) is None


def test_wrong_inputs_are_refused_by_name(
    exported: OnnxPlanner, window: Window, keyframes: Keyframes
) -> None:
    blind = window.states_known & (torch.arange(NOW + 1) < NOW)
    half = keyframes.mask.clone()
    half[0, 0, 1] = False
    shown = torch.ones_like(window.states_known)
    many = np.zeros((BATCH, PILLARS + 1, 3))
    for given, error, name in (
        ({"window": replace(window, features=window.features[:, 1:])}, MismatchError, "features"),
        ({"window": replace(window, states_known=blind)}, InputError, "states_known"),
        ({"window": replace(window, states_known=shown)}, InputError, "features"),
        ({"keyframes": replace(keyframes, mask=half)}, InputError, "key_mask"),
        ({"costs": {"joystik": {}}}, InputError, "joystick"),
        ({"costs": {"joystick": {"speed": 1.0}}}, InputError, "joystick.speed"),
        ({"costs": {"joystick": {"velocity": (1.0, 0.0, 0.0)}}}, MismatchError, "joystick.velocity"),
        ({"costs": {"heading": {"yaw": np.nan}}}, InputError, "heading.yaw"),
        ({"costs": {"obstacles": {"capsules.start_w": many}}}, MismatchError, "obstacles.capsules.start_w"),
        ({"costs": {"calm": {}}, "weights": {"calm": -1.0}}, InputError, "calm"),
    ):  # fmt: skip
        with pytest.raises(error, match=name):
            _run(exported, **{"window": window, "seed": 1, **given})  # type: ignore[arg-type]


def test_a_tampered_file_is_refused_by_the_input(exported: OnnxPlanner, tmp_path: Path) -> None:
    meta = exported.metadata
    for name, changed in (
        ("waypoint.pos_w", replace(meta, shapes=meta.shapes | {"waypoint.pos_w": (1, 3)})),
        (
            "noise_latents",
            replace(meta, shapes={k: v for k, v in meta.shapes.items() if k != "noise_latents"}),
        ),
        ("heading.yaw", replace(meta, defaults=meta.defaults | {"heading.yaw": (0.0, 0.0, 0.0)})),
    ):
        model = onnx.load(str(exported.path))
        onnx.helper.set_model_props(model, changed.to_text())
        onnx.save(model, str(tmp_path / "bad.onnx"))
        with pytest.raises(InputError, match=name):
            OnnxPlanner(tmp_path / "bad.onnx")


def test_skills_of_other_latents_are_refused(exported: OnnxPlanner, body: Embodiment) -> None:
    header = Header.read(latent_content(body), "")
    for digest, name in (("0123456789abcdef", "runs/latent"), ("ffff", "ffff")):
        skills = of_skills(header, "runs/latent", digest, PROPRIOCEPTION, LATENT, 2)
        if digest == exported.metadata.latent_digest:
            exported.require(skills)
            skills = replace(skills, body_fingerprint="0")
        with pytest.raises(MismatchError, match=name):
            exported.require(skills)


def test_a_cost_that_branches_cannot_be_exported(planner: DiffusionPlanner, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="branching"):
        write_plan(planner, tmp_path / "plan.onnx", "", [Branching(torch.ones(1))])
    ddpm = DiffusionPlanner(planner.model, SamplerCfg(kind="ddpm"))
    with pytest.raises(InputError, match="kind"):
        write_plan(ddpm, tmp_path / "plan.onnx", "")
    assert list(tmp_path.iterdir()) == []


WITHOUT_TORCH = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is not for robots")

sys.meta_path.insert(0, Refusing())
import numpy as np
from humanoid.export.plan import OnnxPlanner
from humanoid.export.runtime import OnnxSkills

planner, skills = OnnxPlanner(sys.argv[1]), OnnxSkills(sys.argv[2])
planner.require(skills.metadata)
meta, plan = skills.metadata, None
past = np.zeros(planner.metadata.shapes["features"], np.float32)
past[..., 3] = past[..., 7] = 1.0
latents = np.zeros(planner.metadata.shapes["latents"], np.float32)
felt = np.zeros((len(past), sum(meta.observation_widths)), np.float32)
walk = {"joystick": {"velocity": (1.0, 0.0), "yaw_rate": 0.1}}
for tick in range(5):
    if tick % 2 == 0:
        plan = planner.plan(past, latents, tick=tick, costs=walk, previous=plan)
    latent = plan.latent(tick - plan.tick)
    targets, actions = skills.targets(felt, latent)
    assert targets.shape == (len(past), len(meta.joint_names)) and np.isfinite(targets).all()
    expected = plan.features[:, planner.metadata.history + 1 + tick - plan.tick]
    past = np.concatenate((past[:, 1:], expected[:, None]), axis=1)
    latents = np.concatenate((latents[:, 1:], latent[:, None]), axis=1)
assert np.isfinite(past).all() and plan.dropped == {}
print([name for name in ("torch", "genesis", "mujoco", "humanoid.planning") if name in sys.modules])
"""


def test_planning_and_decoding_need_no_torch(exported: OnnxPlanner, body: Embodiment, tmp_path: Path) -> None:
    torch.save(latent_content(body), tmp_path / "latent.pt")
    skills = Skills.load(tmp_path / "latent.pt")
    write_skills(skills, tmp_path / "latent.onnx", "", "0123456789abcdef")
    command = [sys.executable, "-c", WITHOUT_TORCH, str(exported.path), str(tmp_path / "latent.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_metadata_name_every_number(
    exported: OnnxPlanner, planner: DiffusionPlanner, body: Embodiment
) -> None:
    meta, layout = exported.metadata, planner.layout
    assert (meta.root_body_name, meta.body_names) == (layout.root, layout.bodies)
    assert meta.state_names == tuple(layout.names()) and meta.body == body.name
    assert (meta.history, meta.horizon, meta.latent_horizon, meta.steps) == (2, 6, 3, 2)
    again = PlanMetadata.from_text(meta.to_text(), "plan.onnx")
    assert again.shapes == meta.shapes and again.defaults == meta.defaults
