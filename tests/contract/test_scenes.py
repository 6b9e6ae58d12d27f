"""Objects beside the body, over both backends on one scene each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from humanoid.bodies import BodyState, Embodiment, Kinematics, ObjectState
from humanoid.core import ConfigError, InputError, load_config, to_yaml
from humanoid.sim import ObjectCfg, PhysicsChange, SceneCfg, SimCfg, Simulator, make_sim
from humanoid.spatial import rotation as rot
from tests.contract.test_simulators import ENVS, EVERYONE, GRAVITY, rest

BALL, BOX, CAN = 0.12, (0.15, 0.1, 0.05), (0.06, 0.1)
REST = {"ball": BALL, "box": BOX[2], "can": CAN[1]}
MASS = {"ball": 0.6, "box": 2.0, "can": 0.4}
RESTITUTION, BLOCK, SLIDING = 0.8, 0.2, 0.3
CABINET_POS = (0.0, 4.0, 0.4)
FEET = ("L_Ankle", "L_Toe", "R_Ankle", "R_Toe")
DOOR_MASS, DOOR_WIDTH, DOOR_DEPTH, DAMPING = 2.0, 0.5, 0.04, 0.1
CABINET = f"""
<mujoco>
  <worldbody>
    <body name="cabinet">
      <freejoint/>
      <geom type="box" size="0.2 0.25 0.3" mass="20"/>
      <body name="door" pos="0.221 -0.25 0">
        <joint name="hinge" axis="0 0 -1" range="0 90" damping="{DAMPING}"/>
        <geom type="box" pos="0 {DOOR_WIDTH / 2} 0" size="{DOOR_DEPTH / 2} {DOOR_WIDTH / 2} 0.3"
              mass="{DOOR_MASS}"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="hinge"/></actuator>
</mujoco>
"""
Builder = Callable[[str], Simulator]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SceneCfg:
    """A ball, a box, a can, a block to stand on and a cabinet with a door."""
    file = tmp_path_factory.mktemp("scene") / "cabinet.xml"
    file.write_text(CABINET)
    return SceneCfg(
        objects={
            "ball": ObjectCfg(size=(BALL,), mass=MASS["ball"], restitution=RESTITUTION, pos=(2, 0, BALL)),
            "box": ObjectCfg(shape="box", size=BOX, mass=MASS["box"], friction=SLIDING, pos=(2, 1, BOX[2])),
            "can": ObjectCfg(shape="cylinder", size=CAN, mass=MASS["can"], pos=(2, 2, CAN[1])),
            "block": ObjectCfg(shape="box", size=(0.5, 0.5, BLOCK / 2), fixed=True, pos=(0, -4, BLOCK / 2)),
            "cabinet": ObjectCfg(shape="mjcf", file=str(file), fixed=True, pos=CABINET_POS),
        },
        contact_pairs=(
            *((name, "floor") for name in REST),
            ("floor", "box"),
            ("ball", "box"),
            ("cabinet/door", "ball"),
            ("cabinet/door", "floor"),
            *((foot, other) for foot in FEET for other in ("block", "floor")),
        ),
    )


@pytest.fixture(scope="module")
def build(body: Embodiment, scene: SceneCfg) -> Iterator[Builder]:
    """Builds the scene once a backend."""
    made: dict[str, Simulator] = {}

    def get(backend: str) -> Simulator:
        if backend not in made:
            cfg = SimCfg(backend=backend, contacts=True, randomizable=True, threads=1)
            made[backend] = make_sim(cfg, body, ENVS, scene=scene)
        return made[backend]

    yield get
    for simulator in made.values():
        simulator.close()


@pytest.fixture(params=["mujoco", pytest.param("genesis", marks=pytest.mark.genesis)])
def sim(request: pytest.FixtureRequest, build: Builder) -> Simulator:
    """The scene in each backend."""
    return build(request.param)


@pytest.fixture(scope="module")
def high(body: Embodiment) -> BodyState:
    """The body far above everything."""
    return rest(Kinematics(body), 6.0)


def place(*pos: float) -> Tensor:
    """Return one position for all environments."""
    return torch.tensor(pos, dtype=torch.float32).repeat(ENVS, 1)


def on_floor(height: float = 0.0) -> dict[str, ObjectState]:
    """Return the free objects at rest ``height`` [m] above the floor, apart, and the door closed."""
    free = {
        name: ObjectState.at_rest(place(2.0, index, half + height))
        for index, (name, half) in enumerate(REST.items())
    }
    return free | {"cabinet": cabinet(0.0, 0.0)}


def cabinet(angle: float, rate: float) -> ObjectState:
    """Return the cabinet with its door moving."""
    still = ObjectState.at_rest(place(*CABINET_POS), joint_pos=torch.full((ENVS, 1), angle))
    return replace(still, joint_vel=torch.full((ENVS, 1), rate))


def run(sim: Simulator, seconds: float) -> None:
    """Advance."""
    for _ in range(round(seconds / sim.dt)):
        sim.step()


def test_the_state_has_objects_and_pairs_by_name(sim: Simulator, scene: SceneCfg, high: BodyState) -> None:
    sim.reset(EVERYONE, high, on_floor())
    state = sim.scene_state()
    assert list(state.objects) == list(scene.objects)
    assert set(state.contacts) == set(scene.contact_pairs)
    assert torch.equal(state.robot.body_pos_w, sim.state().body_pos_w)
    for name, cfg in scene.objects.items():
        assert (state.objects[name].pos_w - place(*cfg.pos)).abs().max() < 1e-5, name
        assert state.objects[name].joint_pos.shape == (ENVS, 1 if name == "cabinet" else 0)
    assert all(force.shape == (ENVS, 3) for force in state.contacts.values())


def test_reset_gives_poses_twists_and_joints(
    sim: Simulator, high: BodyState, generator: torch.Generator
) -> None:
    def random(*shape: int) -> Tensor:
        return torch.randn(ENVS, *shape, generator=generator)

    none = torch.zeros(ENVS, 0)
    wanted = {
        name: ObjectState(
            random(3) + place(2, index, 8), rot.normalize(random(4)), random(3), random(3), none, none
        )
        for index, name in enumerate(REST)
    }
    wanted["cabinet"] = replace(cabinet(0.0, 0.0), joint_pos=0.5 + 0.1 * random(1), joint_vel=random(1))
    sim.reset(EVERYONE, high, wanted)
    state = sim.scene_state()
    assert (state.robot.body_pos_w - high.body_pos_w).abs().max() < 1e-5
    for name, one in wanted.items():
        got = state.objects[name]
        assert rot.angle_between(got.quat_w, one.quat_w).max() < 1e-3, name
        for field in ("pos_w", "lin_vel_w", "ang_vel_w", "joint_pos", "joint_vel"):
            assert torch.allclose(getattr(got, field), getattr(one, field), atol=1e-4), (name, field)


def test_objects_fall_freely(sim: Simulator, high: BodyState) -> None:
    sim.reset(EVERYONE, high, on_floor(2.0))
    run(sim, 0.4)
    drop = GRAVITY * 0.4 * (0.4 + sim.dt / SimCfg().substeps) / 2  # semi-implicit Euler is half a step ahead
    for name, half in REST.items():
        found = sim.scene_state().objects[name]
        assert (found.pos_w - place(2.0, list(REST).index(name), half + 2.0 - drop)).abs().max() < 1e-3
        assert (found.lin_vel_w - place(0, 0, -0.4 * GRAVITY)).abs().max() < 1e-3


def test_objects_rest_on_the_floor_with_their_weight(sim: Simulator, high: BodyState) -> None:
    sim.reset(EVERYONE, high, on_floor(0.005))
    run(sim, 0.8)
    total = dict.fromkeys(REST, torch.zeros(ENVS, 3))
    for _ in range(20):
        sim.step()
        total = {name: force + sim.scene_state().contacts[name, "floor"] for name, force in total.items()}
    state = sim.scene_state()
    for name, half in REST.items():
        found, weight = state.objects[name], MASS[name] * GRAVITY
        assert (found.pos_w[:, 2] - half).abs().max() < 1e-3, name
        assert found.lin_vel_w.abs().max() < 0.05, name
        # an elastic ball trembles by a fraction of a millimetre, so its force is a mean
        error = (total[name] / 20 - place(0, 0, weight)).abs().max()
        assert error < (0.1 if name == "ball" else 0.01) * weight, name
    assert torch.equal(state.contacts["floor", "box"], -state.contacts["box", "floor"])
    for pair in (("ball", "box"), ("cabinet/door", "ball"), ("L_Toe", "block"), ("L_Toe", "floor")):
        assert not state.contacts[pair].any(), pair


def test_feet_on_a_block_carry_the_body(sim: Simulator, body: Embodiment) -> None:
    start = rest(Kinematics(body), BLOCK)
    start.body_pos_w[..., 1] -= 4.0
    sim.reset(EVERYONE, start, on_floor())
    run(sim, 0.5)
    contacts = sim.scene_state().contacts
    weight = GRAVITY * float(body.body_mass.sum())
    force = sum(contacts[foot, "block"] for foot in FEET)
    assert isinstance(force, Tensor) and (force[:, 2] / weight - 1).abs().max() < 0.03
    net = sim.contacts().force_w[:, body.body_id("L_Ankle")]
    assert (contacts["L_Ankle", "block"] - net).abs().max() < 1e-2
    assert not any(contacts[foot, "floor"].any() for foot in FEET)


def test_an_object_on_another_presses_with_its_weight(sim: Simulator, high: BodyState) -> None:
    start = on_floor()
    start["ball"] = ObjectState.at_rest(place(2.0, 1.0, 2 * BOX[2] + BALL))
    sim.reset(EVERYONE, high, start)
    run(sim, 0.5)
    contacts, weight = sim.scene_state().contacts, MASS["ball"] * GRAVITY
    assert (contacts["ball", "box"][:, 2] / weight - 1).abs().max() < 0.03
    total = weight + MASS["box"] * GRAVITY
    assert (contacts["box", "floor"][:, 2] / total - 1).abs().max() < 0.03
    assert not contacts["ball", "floor"].any()


def test_a_push_adds_to_the_twist_and_the_momentum_stays(
    sim: Simulator, high: BodyState, generator: torch.Generator
) -> None:
    start = on_floor(2.0)
    start["box"] = ObjectState.at_rest(
        place(2, 1, 2), rot.normalize(torch.randn(ENVS, 4, generator=generator))
    )
    sim.reset(EVERYONE, high, start)
    before = sim.scene_state()
    lin, ang = torch.randn(2, ENVS, 3, generator=generator)
    sim.push(lin, ang, "box")
    after = sim.scene_state()
    assert (after.objects["box"].lin_vel_w - lin).abs().max() < 1e-5
    assert (after.objects["box"].ang_vel_w - ang).abs().max() < 1e-5
    assert torch.equal(after.robot.body_lin_vel_w, before.robot.body_lin_vel_w)
    assert not after.objects["ball"].lin_vel_w.any()
    run(sim, 0.2)
    moved = sim.scene_state().objects["box"]
    assert (moved.lin_vel_w - lin - place(0, 0, -0.2 * GRAVITY)).abs().max() < 1e-2
    assert (moved.pos_w - after.objects["box"].pos_w - 0.2 * lin)[:, :2].abs().max() < 1e-2


@pytest.mark.parametrize("name", ["cabinet", "chair"])
def test_a_push_of_what_cannot_move_is_an_error(sim: Simulator, name: str) -> None:
    with pytest.raises(InputError, match=name):
        sim.push(torch.ones(ENVS, 3), torch.zeros(ENVS, 3), name)


def test_friction_on_the_floor_is_the_objects_own(sim: Simulator, high: BodyState) -> None:
    sim.randomize(PhysicsChange(friction=torch.tensor([0.2, 0.5, 1.0, 1.5])))
    sim.reset(EVERYONE, high, on_floor())
    run(sim, 0.1)
    sim.push(place(1.5, 0, 0), torch.zeros(ENVS, 3), "box")
    run(sim, 0.3)
    slowed = 1.5 - sim.scene_state().objects["box"].lin_vel_w[:, 0]
    sim.randomize(PhysicsChange(friction=torch.ones(ENVS)))
    assert (slowed / (0.3 * SLIDING * GRAVITY) - 1).abs().max() < 0.05


def rebound(sim: Simulator, high: BodyState, name: str, heights: Tensor) -> Tensor:
    """Return how high an object rises again from drops of ``heights (B,)`` [m]."""
    half = REST[name]
    start = on_floor()
    pos = place(2.0, 0.0, half)
    pos[:, 2] += heights
    start["ball"] = ObjectState.at_rest(place(4.0, 0.0, BALL))
    start[name] = ObjectState.at_rest(pos)
    sim.reset(EVERYONE, high, start)
    trace = []
    for _ in range(round(1.1 / sim.dt)):
        sim.step()
        trace.append(sim.scene_state().objects[name].pos_w[:, 2])
    heights_over_time = torch.stack(trace) - half
    lowest = heights_over_time[:35].argmin(0)
    later = torch.arange(len(trace))[:, None] > lowest
    return heights_over_time.masked_fill(~later, 0.0).amax(0)


def test_a_ball_bounces_with_its_restitution(sim: Simulator, high: BodyState) -> None:
    heights = torch.tensor([0.5, 0.65, 0.8, 1.0])
    measured = (rebound(sim, high, "ball", heights) / heights).sqrt()
    assert (measured - RESTITUTION).abs().max() < 0.03
    assert abs(measured.mean() - RESTITUTION) < 0.02


def test_an_object_without_restitution_stays_down(sim: Simulator, high: BodyState) -> None:
    heights = torch.tensor([0.3, 0.4, 0.5, 0.6])
    assert (rebound(sim, high, "box", heights) / heights).max() < 0.2**2  # critical damping gives exp(-2)^2


def test_a_ball_does_not_bounce_off_what_has_no_restitution(sim: Simulator, high: BodyState) -> None:
    start = on_floor()
    start["ball"] = ObjectState.at_rest(place(0.0, -4.0, BLOCK + BALL + 0.5))
    sim.reset(EVERYONE, high, start)
    run(sim, 0.5)
    assert (sim.scene_state().objects["ball"].pos_w[:, 2] - BLOCK - BALL).abs().max() < 0.02


def test_a_damped_door_swings_and_stops_at_its_limit(sim: Simulator, high: BodyState) -> None:
    inertia = DOOR_MASS * ((DOOR_WIDTH**2 + DOOR_DEPTH**2) / 12 + DOOR_WIDTH**2 / 4)
    sim.reset(EVERYONE, high, on_floor() | {"cabinet": cabinet(0.1, 2.0)})
    run(sim, 0.5)
    rate = DAMPING / inertia
    expected = 0.1 + 2.0 * (1 - math.exp(-0.5 * rate)) / rate
    found = sim.scene_state().objects["cabinet"]
    assert (found.joint_pos - expected).abs().max() < 0.01
    assert (found.joint_vel - 2.0 * math.exp(-0.5 * rate)).abs().max() < 0.02
    widest = found.joint_pos
    for _ in range(40):
        sim.step()
        widest = torch.maximum(widest, sim.scene_state().objects["cabinet"].joint_pos)
    assert (widest - math.pi / 2).abs().max() < 0.05


def test_a_ball_closes_the_door(sim: Simulator, high: BodyState) -> None:
    ball = ObjectState.at_rest(place(1.0, 4.1, 0.4))
    sim.reset(EVERYONE, high, on_floor() | {"cabinet": cabinet(0.5, 0.0), "ball": ball})
    sim.push(place(-4.0, 0, 0), torch.zeros(ENVS, 3), "ball")
    pressed = torch.zeros(ENVS, 3)
    for _ in range(15):
        sim.step()
        force = sim.scene_state().contacts["cabinet/door", "ball"]
        pressed = torch.where((force[:, 0] < pressed[:, 0])[:, None], force, pressed)
    assert (pressed[:, 0] < -1.0).all()
    assert not sim.scene_state().contacts["cabinet/door", "floor"].any()
    assert (sim.scene_state().objects["cabinet"].joint_pos < 0.4).all()


def test_masked_reset_leaves_other_environments_and_objects_alone(sim: Simulator, high: BodyState) -> None:
    mask = torch.tensor([False, True, True, False])

    def traced(interrupt: bool) -> list[ObjectState]:
        sim.reset(EVERYONE, high, on_floor(0.3))
        run(sim, 0.2)
        if interrupt:
            before = sim.scene_state().objects
            sim.reset(mask, high, {"ball": on_floor(1.0)["ball"]})
            after = sim.scene_state().objects
            assert (after["ball"].pos_w[mask, 2] - BALL - 1.0).abs().max() < 1e-5
            assert torch.equal(after["box"].pos_w, before["box"].pos_w)
            assert torch.equal(after["box"].lin_vel_w, before["box"].lin_vel_w)
        run(sim, 0.2)
        return list(sim.scene_state().objects.values())

    for alone, beside in zip(traced(False), traced(True), strict=True):
        for field, value in vars(alone).items():
            assert torch.equal(value[~mask], getattr(beside, field)[~mask]), field


def test_an_unknown_object_is_an_error(sim: Simulator, high: BodyState) -> None:
    with pytest.raises(InputError, match="chair"):
        sim.reset(EVERYONE, high, {"chair": on_floor()["box"]})


@pytest.mark.parametrize("cause", ["speed", "pose"])
def test_an_object_that_diverges_is_alone_with_its_environment(
    sim: Simulator, high: BodyState, cause: str
) -> None:
    others, start = torch.tensor([0, 2, 3]), on_floor(0.05)

    def after(bad: bool) -> tuple[BodyState, dict[str, ObjectState]]:
        sim.reset(EVERYONE, high, start)
        if bad:
            broken = start["box"].map(torch.clone)
            (broken.lin_vel_w if cause == "speed" else broken.pos_w)[1] = (
                math.nan if cause == "pose" else math.inf
            )
            sim.reset(torch.tensor([False, True, False, False]), high, {"box": broken})
        run(sim, 0.2)
        state = sim.scene_state()
        return state.robot, dict(state.objects)

    robot, objects = after(False)
    bad_robot, bad_objects = after(True)
    assert bad_robot.joint_pos[1].isnan().all() and bad_objects["box"].pos_w[1].isnan().all()
    for name, state in objects.items():
        for field, value in vars(state).items():
            assert torch.equal(value[others], getattr(bad_objects[name], field)[others]), (name, field)
    assert torch.equal(robot.body_pos_w[others], bad_robot.body_pos_w[others])
    again, _ = after(False)
    assert torch.equal(again.body_pos_w, robot.body_pos_w)


@pytest.mark.genesis
def test_genesis_agrees_with_mujoco(build: Builder, high: BodyState, generator: torch.Generator) -> None:
    start = on_floor(0.3)
    start["box"] = ObjectState.at_rest(
        start["box"].pos_w,
        rot.normalize(torch.tensor([1.0, 0, 0, 0]) + 0.1 * torch.randn(ENVS, 4, generator=generator)),
    )
    spin = 0.5 * torch.randn(ENVS, 3, generator=generator)
    found = []
    for backend in ("mujoco", "genesis"):
        sim = build(backend)
        sim.reset(EVERYONE, high, start)
        sim.push(place(0.5, 0.2, 0), spin, "ball")
        trace = []
        for _ in range(40):
            sim.step()
            trace.append(torch.stack([sim.scene_state().objects[name].pos_w for name in REST]))
        found.append(torch.stack(trace))
    distance = (found[0] - found[1]).norm(dim=-1)
    assert distance[:, 0].max() < 0.01 and distance[:, 2].max() < 0.01
    assert distance[:, 1].max() < 0.03  # an oblique box lands on a corner


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"size": ()}, "crate.size"),
        ({"size": (0.1, -0.1, 0.1)}, "size"),
        ({"mass": 0.0}, "mass"),
        ({"friction": 0.0}, "friction"),
        ({"restitution": 1.0}, "restitution"),
        ({"pos": (0.0, 0.0, math.nan)}, "pos"),
        ({"quat": (0.0, 0.0, 0.0, 0.0)}, "quat"),
        ({"shape": "mjcf", "size": ()}, "crate.file"),
        ({"shape": "blob"}, "blob"),
    ],
)
def test_bad_objects_are_errors(change: dict[str, object], name: str) -> None:
    good: dict[str, object] = {"shape": "box", "size": (0.1, 0.1, 0.1)}
    SceneCfg(objects={"crate": ObjectCfg(**good)})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=name):
        SceneCfg(objects={"crate": ObjectCfg(**(good | change))})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("objects", "pairs", "name"),
    [
        (["floor"], (), "floor"),
        (["a/b"], (), "a/b"),
        (["L_Ankle"], (), "L_Ankle"),
        (["crate"], (("crate", "crate"),), "crate"),
        (["crate"], (("crate", "flor"),), "flor"),
        ([], (("crate", "floor"),), "crate"),
    ],
)
def test_bad_names_are_errors(
    objects: list[str], pairs: tuple[tuple[str, str], ...], name: str, body: Embodiment
) -> None:
    with pytest.raises(ConfigError, match=name):
        cfg = SceneCfg(objects={item: ObjectCfg(size=(0.1,)) for item in objects}, contact_pairs=pairs)
        make_sim(SimCfg(threads=1), body, 1, scene=cfg)


@pytest.mark.parametrize(
    "text",
    [
        "no xml",
        "<mujoco/>",
        CABINET.replace('<joint name="hinge"', '<joint type="ball" name="hinge"'),
        CABINET.replace(
            "</worldbody>", '</worldbody><contact><exclude body1="cabinet" body2="door"/></contact>'
        ),
        CABINET.replace("<freejoint/>", '<joint type="slide"/>'),
    ],
)
def test_bad_models_are_errors(text: str, tmp_path: Path, body: Embodiment) -> None:
    file = tmp_path / "thing.xml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"thing\.xml"):
        make_sim(
            SimCfg(threads=1),
            body,
            1,
            scene=SceneCfg(objects={"it": ObjectCfg(shape="mjcf", file=str(file))}),
        )


def test_a_scene_is_read_from_yaml(tmp_path: Path, scene: SceneCfg) -> None:
    file = tmp_path / "scene.yaml"
    file.write_text(to_yaml(scene))
    assert load_config(SceneCfg, file) == scene
    with pytest.raises(ConfigError, match=r"objects\.ball\.restitution"):
        load_config(SceneCfg, file, ["objects.ball.restitution=1.5"])


def test_a_body_alone_has_no_objects(body: Embodiment) -> None:
    state = make_sim(SimCfg(threads=1), body, 2).scene_state()
    assert not state.objects and not state.contacts and state.robot.joint_pos.shape[0] == 2
