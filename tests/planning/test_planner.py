"""Plans go on from windows, meet keyframes and do not depend on where the world begins."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from humanoid.core import InputError
from humanoid.diffusion import Frame
from humanoid.diffusion.trajectory import ROT, VEL
from humanoid.planning import DiffusionPlanner, Guidance, Keyframes, Plan, SamplerCfg, Window
from humanoid.planning.costs import Joystick
from tests.diffusion.denoisers import LAYOUT, WIDTH, Attentive, Credulous, model_of, trajectories
from tests.planning.test_sampler import Broken

CFG = LAYOUT.cfg
NOW = CFG.history


def window(batch: int = 3, seed: int = 0, tick: int = 10) -> Window:
    features, latents = trajectories(batch, seed)
    known = torch.ones(batch, NOW + 1, dtype=torch.bool)
    return Window(features[:, : NOW + 1], latents[:, :NOW], known[:, 1:].clone(), known, tick)


def planned(seen: Window, denoiser: Attentive | None = None, seed: int = 0, **others: Any) -> Plan:
    planner = DiffusionPlanner(model_of(denoiser or Attentive()), others.pop("cfg", None))
    return planner.plan(seen, **others, generator=torch.Generator().manual_seed(seed))


def keyframes(batch: int, *times: float) -> Keyframes:
    features = trajectories(batch, seed=7)[0][:, : len(times)]
    time = torch.tensor(times).expand(batch, -1)
    return Keyframes(time, features, torch.ones_like(features, dtype=torch.bool))


def moved(features: Tensor, place: tuple[float, float] = (3.0, -2.0), yaw: float = 2.2) -> Tensor:
    """World features (B, F, S) as they are where the world is turned and shifted."""
    frame = Frame(torch.tensor([place]).expand(len(features), 2), torch.full((len(features),), yaw))
    return LAYOUT.globalized(features, frame)


def test_a_plan_goes_on_from_what_was() -> None:
    seen = window()
    plan = planned(seen)
    assert plan.features.shape == (3, CFG.num_states, LAYOUT.width)
    assert plan.latents.shape == (3, CFG.latent_horizon, WIDTH)
    torch.testing.assert_close(plan.features[:, : NOW + 1], seen.features)
    torch.testing.assert_close(plan.frame.pos_w, seen.features[:, NOW, :2])
    assert (plan.tick, plan.values, plan.dropped) == (10, {}, {})
    assert 0.0 < plan.seconds < 60.0
    assert plan.features.isfinite().all()


def test_the_network_sees_history_from_the_present_heading_frame() -> None:
    seen, denoiser = window(), Attentive()
    planned(seen, denoiser)
    now = denoiser.states_from_model(denoiser.calls[0].states)[:, NOW]
    torch.testing.assert_close(now[:, :2], torch.zeros(3, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        now[:, ROT], torch.tensor([1.0, 0, 0, 0, 1, 0]).expand(3, -1), atol=1e-4, rtol=0
    )
    past = denoiser.latents_from_model(denoiser.calls[0].latents)[:, :NOW]
    torch.testing.assert_close(past, seen.latents)


def test_the_world_may_be_turned_and_shifted() -> None:
    guidance = Guidance([Joystick(velocity=(1.0, 0.0), yaw_rate=0.5)])
    seen, poses = window(), keyframes(3, 2.0, 5.0)
    previous = planned(replace(seen, tick=8))
    here = planned(seen, guidance=guidance, keyframes=poses, previous=previous)
    there = planned(
        replace(seen, features=moved(seen.features)),
        guidance=guidance,
        keyframes=replace(poses, features=moved(poses.features)),
        previous=replace(previous, features=moved(previous.features)),
    )
    torch.testing.assert_close(there.features, moved(here.features), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(there.latents, here.latents, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(there.values["joystick"], here.values["joystick"], atol=1e-3, rtol=1e-3)


def test_a_command_makes_a_difference() -> None:
    def speed(guidance: Guidance | None) -> float:
        plan = planned(window(), guidance=guidance)
        return float(plan.features[:, NOW + 1 :, VEL][..., :2].norm(dim=-1).mean())

    fast = speed(Guidance([Joystick(velocity=(3.0, 0.0))]))
    slow = speed(Guidance([Joystick(velocity=(0.0, 0.0))]))
    assert slow < speed(None) < fast


def test_unknown_history_is_noise_and_may_hold_anything() -> None:
    seen, denoiser = window(), Attentive()
    seen.states_known[1, 0] = False
    seen.features[1, 0] = math.nan
    seen.latents_known[2] = False
    seen.latents[2] = math.inf
    plan = planned(seen, denoiser)
    first = denoiser.calls[0]
    assert first.state_level[:, : NOW + 1].tolist() == [[0, 0, 0], [20, 0, 0], [0, 0, 0]]
    assert first.latent_level[:, :NOW].tolist() == [[0, 0], [0, 0], [20, 20]]
    assert plan.features.isfinite().all()
    assert plan.latents.isfinite().all()


def test_keyframes_are_met_at_the_nearest_frame_and_ignored_outside() -> None:
    poses = keyframes(3, -1.0, 0.4, 1.6, 3.0, 6.4, 6.5, 1e30)
    denoiser = Attentive()
    plan = planned(window(), denoiser, keyframes=poses)
    for index, offset in ((2, 2), (3, 3), (4, 6)):
        torch.testing.assert_close(plan.features[:, NOW + offset], poses.features[:, index])
    clean = (denoiser.calls[0].state_level[:, NOW + 1 :] == 0).int()
    assert clean.tolist() == [[0, 1, 1, 0, 0, 1]] * 3
    torch.testing.assert_close(plan.features[:, : NOW + 1], window().features)


def test_keyframes_differ_between_environments_and_the_later_of_two_wins() -> None:
    poses = keyframes(2, 2.0, 2.3)
    poses = replace(poses, frame=torch.tensor([[2.0, 2.3], [2.0, 4.0]]))
    poses.mask[0, 1] = False
    poses.mask[0, 1, VEL] = True
    plan = planned(window(2), keyframes=poses)
    merged = torch.where(poses.mask[0, 1], poses.features[0, 1], poses.features[0, 0])
    torch.testing.assert_close(plan.features[0, NOW + 2], merged)
    torch.testing.assert_close(plan.features[1, NOW + 2], poses.features[1, 0])
    torch.testing.assert_close(plan.features[1, NOW + 4], poses.features[1, 1])


def test_part_of_a_pose_can_be_given() -> None:
    poses = keyframes(3, 4.0)
    poses.mask[:] = False
    poses.mask[..., VEL] = True
    poses.features[~poses.mask] = math.nan
    denoiser = Attentive()
    plan = planned(window(), denoiser, keyframes=poses)
    torch.testing.assert_close(plan.features[:, NOW + 4, VEL], poses.features[:, 0, VEL])
    assert (denoiser.calls[0].state_level[:, NOW + 4] == 20).all()
    assert plan.features.isfinite().all()


def test_no_keyframe_is_none() -> None:
    none = keyframes(3)
    assert torch.equal(planned(window(), keyframes=none).features, planned(window()).features)


def test_a_plan_begins_from_the_frames_of_the_last_that_are_left() -> None:
    """With hardly any noise and a denoiser that believes what it sees, they come out again."""
    cfg = SamplerCfg(warm_level=1, warm_latent_level=1)
    old = planned(window(tick=10))
    # what came true: two frames of the plan, a little beside it
    seen = replace(window(tick=12), features=old.features[:, 2 : NOW + 3] + 0.01)
    new = planned(seen, Credulous(), previous=old, cfg=cfg)
    std = Attentive().state_std
    assert ((new.features[:, NOW + 1 : -2] - old.features[:, NOW + 3 :]) / std).abs().max() < 0.5
    assert (new.latents[:, :1] - old.latents[:, 2:]).abs().max() < 0.5
    cold = planned(seen, Credulous(), cfg=cfg)
    assert ((cold.features[:, NOW + 1 : -2] - old.features[:, NOW + 3 :]) / std).abs().max() > 1.0


def start_levels(previous: Plan, seen: Window) -> Tensor:
    denoiser = Attentive()
    planned(seen, denoiser, previous=previous)
    return denoiser.calls[0].state_level[:, NOW + 1 :]


def test_a_body_that_was_moved_is_planned_for_anew() -> None:
    old, seen = planned(window()), window(tick=11)
    seen.features[:, NOW] = old.features[:, NOW + 1]
    seen.features[1, NOW, 0] += 2.0
    warm, cold = [14] * 5 + [20], [20] * 6
    assert start_levels(old, seen).tolist() == [warm, cold, warm]


@pytest.mark.parametrize("tick", [9, 10 + CFG.horizon, 1000])
def test_a_plan_that_has_run_out_or_is_of_another_run_is_not_used(tick: int) -> None:
    assert (start_levels(planned(window()), window(tick=tick)) == 20).all()


def test_one_seed_gives_one_plan() -> None:
    first, again, other = (planned(window(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.latents, again.latents)
    assert not torch.equal(first.features, other.features)


def test_dropped_costs_are_told() -> None:
    guidance = Guidance([Broken(), Joystick(velocity=(1.0, 0.0))])
    for _ in range(2):
        assert planned(window(), guidance=guidance).dropped == {"broken": 1}


def spoilt(fault: str) -> tuple[Window, Keyframes]:
    seen, poses = window(), keyframes(3, 2.0)
    if fault == "state":
        seen.features[2, 0, 5] = math.nan
    elif fault == "latent":
        seen.latents[1, 1, 0] = math.inf
    elif fault == "now":
        seen.states_known[2, -1] = False
    elif fault == "pose":
        poses.features[1, 0, 3] = math.nan
    elif fault == "time":
        poses = replace(poses, frame=torch.tensor([[1.0], [1.0], [math.nan]]))
    elif fault == "half":
        poses.mask[0, 0, 1] = False
    elif fault == "history":
        seen = replace(seen, features=seen.features[:, 1:])
    elif fault == "latents":
        seen = replace(seen, latents=seen.latents[..., :2])
    elif fault == "mask":
        poses = replace(poses, mask=poses.mask[:2])
    return seen, poses


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("state", "environment 2: .*state"),
        ("latent", "environment 1: .*latent"),
        ("now", "environment 2: .*now"),
        ("pose", "environment 1: .*keyframe"),
        ("time", "environment 2: .*time"),
        ("half", "environment 0: .*keyframe"),
        ("history", r"window\.features: .*\(3, 3, 21\)"),
        ("latents", r"window\.latents: .*\(3, 2, 3\)"),
        ("mask", r"keyframes\.mask: .*\(3, 1, 21\)"),
    ],
)
def test_what_cannot_be_planned_from_is_refused(fault: str, text: str) -> None:
    seen, poses = spoilt(fault)
    with pytest.raises(InputError, match=text) as caught:
        planned(seen, keyframes=poses)
    assert "\n" not in str(caught.value)


def test_a_plan_of_other_environments_is_refused() -> None:
    with pytest.raises(InputError, match="previous.features"):
        planned(window(2, tick=11), previous=planned(window(3)))
