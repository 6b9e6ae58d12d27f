"""Adaptive sampling: what it counts, what it forgets, where it may start."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError
from humanoid.motion import AdaptiveSampler, Motion, MotionLibrary, SamplerCfg

PLAIN = SamplerCfg(memory=1.0, prior_failures=0.0)


@pytest.fixture(scope="module")
def library(motions: list[Motion], body: Embodiment) -> MotionLibrary:
    """Clips of about 2, 4 and 1 s."""
    return MotionLibrary(motions, body)


def sampler(library: MotionLibrary, cfg: SamplerCfg = PLAIN, seed: int = 0) -> AdaptiveSampler:
    return AdaptiveSampler(library, cfg, torch.Generator().manual_seed(seed))


def bins_of(made: AdaptiveSampler, clip: int) -> Tensor:
    """Return the bins of a clip."""
    return made.bin_of_row[made.library.clip == clip].unique()


def uniform(library: MotionLibrary) -> Tensor:
    """Return the probability of each bin where starts are uniform in time."""
    return sampler(library, SamplerCfg(uniform=1.0)).probabilities()


def fail(made: AdaptiveSampler, rows: Tensor, times: int = 200) -> None:
    for _ in range(times):
        made.update(rows, torch.ones(len(rows), dtype=torch.bool))


def test_bins_are_about_a_second_and_cover_every_row(library: MotionLibrary) -> None:
    made = sampler(library)
    assert [len(bins_of(made, clip)) for clip in range(3)] == [2, round(library.length[1].item() / 50), 1]
    assert torch.equal(made.bin_of_row.unique(), torch.arange(made.num_bins))
    assert (made.bin_of_row.diff() >= 0).all()
    sizes = torch.bincount(made.bin_of_row)
    assert int(sizes.min()) >= 45 and int(sizes.max()) <= 60


def test_failures_of_one_step_in_one_bin_add_up(library: MotionLibrary) -> None:
    made = sampler(library)
    rows = torch.tensor((3, 3, 7, 60, 60))
    made.update(rows, torch.tensor((True, True, True, False, True)))
    assert made.failures[:2].tolist() == [3.0, 1.0]
    assert made.visits[:3].tolist() == [4.0, 3.0, 1.0], "one visit is assumed"


def test_memory_fades(library: MotionLibrary) -> None:
    made = sampler(library, replace(PLAIN, memory=0.5))
    made.update(torch.tensor((3,)), torch.tensor((True,)))
    for _ in range(3):
        made.update(torch.tensor((60,)), torch.tensor((False,)))
    assert float(made.failures[0]) == 0.125
    assert float(made.failures[1]) == 0.0


def test_the_tail_bin_is_counted_and_drawn(library: MotionLibrary) -> None:
    made = sampler(library)
    last = torch.tensor((library.num_frames - 1,))
    fail(made, last)
    assert int(made.failures.argmax()) == made.num_bins - 1
    assert int(made.probabilities().argmax()) == made.num_bins - 1
    rows = made.sample(1000)
    tail = made.bin_of_row[rows] == made.num_bins - 1
    assert float(tail.float().mean()) > 0.5
    assert int(rows.max()) == library.num_frames - 2


def test_bins_before_a_failure_share_in_it(library: MotionLibrary) -> None:
    made = sampler(library, replace(PLAIN, uniform=0.0))
    bins = bins_of(made, 1)
    fail(made, library.start[1:2] + library.length[1:2] - 1)
    p = made.probabilities() / uniform(library)
    assert p[bins].diff().gt(0).all()
    torch.testing.assert_close(p[bins[-2]] / p[bins[-1]], torch.tensor(0.8), atol=1e-3, rtol=0)


@pytest.mark.parametrize("clip", [0, 1, 2])
def test_failures_do_not_leak_into_other_clips(library: MotionLibrary, clip: int) -> None:
    made = sampler(library, replace(PLAIN, uniform=0.0))
    fail(made, library.start[clip : clip + 1])
    first = bins_of(made, clip)[0]
    p = made.probabilities()
    assert float(p[first]) > 0.99
    assert float(p[torch.arange(made.num_bins) != first].max()) < 1e-4


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_probabilities_sum_to_one_above_a_uniform_floor(library: MotionLibrary, share: float) -> None:
    made = sampler(library, SamplerCfg(uniform=share))
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        rows = torch.randint(library.num_frames, (64,), generator=generator)
        made.update(rows, torch.rand(64, generator=generator) < 0.1)
        p = made.probabilities()
        torch.testing.assert_close(p.sum(), torch.tensor(1.0))
        assert (p >= share * uniform(library) * (1 - 1e-5)).all()
        assert 0 < float(made.entropy()) <= 1 + 1e-6


def test_without_failures_it_stays_uniform_for_ever(library: MotionLibrary) -> None:
    made = sampler(library, SamplerCfg(memory=0.5))
    rows = torch.arange(library.num_frames)
    for _ in range(400):
        made.update(rows, torch.zeros(len(rows), dtype=torch.bool))
    assert float(made.failures.max()) == 0.0
    p = made.probabilities()
    torch.testing.assert_close(p.sum(), torch.tensor(1.0))
    assert float((p / uniform(library)).min()) > 0.5


def test_uniform_is_uniform_in_time_and_weighted(motions: list[Motion], body: Embodiment) -> None:
    library = MotionLibrary(motions, body, weights=[1.0, 0.0, 3.0])
    made = sampler(library, SamplerCfg(uniform=1.0))
    rows = made.sample(40_000)
    counts = torch.bincount(rows, minlength=library.num_frames).float()
    assert counts[library.clip == 1].sum() == 0
    starts = counts[library.clip == 2][:-1].mean() / counts[library.clip == 0][:-1].mean()
    assert float(starts) == pytest.approx(3.0, rel=0.1)
    walk = counts[library.clip == 0][:-1]
    assert float(walk.std() / walk.mean()) < 0.2


@pytest.mark.parametrize("bin_seconds", [0.01, 0.3, 1.0, 10.0])
def test_every_start_leaves_a_next_frame(library: MotionLibrary, bin_seconds: float) -> None:
    made = sampler(library, SamplerCfg(bin_seconds=bin_seconds))
    fail(made, library.start + library.length - 1, 20)
    rows = made.sample(5000)
    last = library.start + library.length - 1
    assert (rows < last[library.clip[rows]]).all() and (rows >= 0).all()
    assert torch.isin(library.start, rows).all(), "first frames are drawn"
    assert torch.isin(last - 1, rows).all(), "and the last but one"


def test_a_start_is_counted_in_the_bin_it_was_drawn_from(library: MotionLibrary) -> None:
    made = sampler(library, replace(PLAIN, uniform=0.0, kernel=1))
    for drawn in range(made.num_bins):
        made.failures.zero_()[drawn] = 1e6  # all others are as good as never drawn
        assert (made.bin_of_row[made.sample(200)] == drawn).all()


@pytest.mark.parametrize(
    "given",
    [{"uniform": 1.5}, {"memory": -0.1}, {"bin_seconds": 0.0}, {"kernel": 0}, {"prior_failures": -1.0}],
)
def test_numbers_that_make_no_distribution_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"SamplerCfg.{next(iter(given))}"):
        SamplerCfg(**given)  # type: ignore[arg-type]


def test_a_clip_of_one_frame_is_refused(motions: list[Motion], body: Embodiment) -> None:
    still = replace(motions[0], name="still", states=motions[0].states[:1])
    with pytest.raises(InputError, match="'still'"):
        sampler(MotionLibrary([motions[1], still], body))


def test_two_frames_are_enough(motions: list[Motion], body: Embodiment) -> None:
    short = replace(motions[0], states=motions[0].states[:2])
    assert (sampler(MotionLibrary([short], body)).sample(50) == 0).all()


def test_a_seed_repeats_the_draws(library: MotionLibrary) -> None:
    a, b, c = sampler(library), sampler(library), sampler(library, seed=1)
    draws = a.sample(100)
    assert torch.equal(draws, b.sample(100))
    assert not torch.equal(draws, c.sample(100))
    assert not torch.equal(draws, a.sample(100))


def test_state_round_trip(library: MotionLibrary) -> None:
    made = sampler(library, SamplerCfg())
    fail(made, torch.tensor((3, 120)), 10)
    state = made.state_dict()
    other = sampler(library, SamplerCfg())
    other.load_state_dict(state)
    assert torch.equal(other.probabilities(), made.probabilities())
    fail(other, torch.tensor((60,)), 10)
    assert torch.equal(state["failures"], made.failures), "the state is a copy"


def test_state_of_another_library_starts_afresh(
    library: MotionLibrary, motions: list[Motion], body: Embodiment
) -> None:
    other = sampler(MotionLibrary(motions[2:], body))
    made = sampler(library, SamplerCfg())
    before = made.probabilities()
    made.load_state_dict(other.state_dict())
    assert torch.equal(made.probabilities(), before)


def test_it_neither_loops_nor_waits_for_the_device(
    motions: list[Motion], body: Embodiment, operations: Any
) -> None:
    counts = []
    for copies, batch in ((1, 2), (5, 700)):
        many = [replace(m, name=f"{m.name}{i}") for i in range(copies) for m in motions]
        made = sampler(MotionLibrary(many, body))
        with operations() as seen:
            made.update(made.sample(batch), torch.ones(batch, dtype=torch.bool))
            made.entropy()
        assert not [n for n in seen.names if "local_scalar" in n or "nonzero" in n or "masked_select" in n]
        counts.append(len(seen.names))
    assert counts[0] == counts[1]


def test_by_reward_what_is_performed_badly_is_drawn_more(library: MotionLibrary) -> None:
    made = sampler(library, SamplerCfg(by="reward", uniform=0.0, memory=1.0))
    rows = torch.arange(library.num_frames)
    earned = torch.where(made.bin_of_row == 0, 0.2, 0.8)
    made.credit(rows, earned, torch.ones(len(rows), dtype=torch.bool))
    share = {b: float((made.bin_of_row == b).sum()) for b in range(made.num_bins)}
    expected, weight = {}, {}
    for clip in range(library.num_clips):
        bins = bins_of(made, clip).tolist()
        reward = {b: 0.2 if b == 0 else 0.8 for b in bins}
        total = sum(share[b] for b in bins)
        mean = sum(share[b] * reward[b] for b in bins) / total
        weight[clip] = total * math.exp(-5.0 * mean)  # SkillMimic-V2: lambda_c = 5, lambda_s = 10
        within = {b: share[b] * math.exp(-10.0 * reward[b]) for b in bins}
        expected |= {b: weight[clip] * within[b] / sum(within.values()) for b in bins}
    found = made.probabilities()
    for b, value in expected.items():
        assert float(found[b]) == pytest.approx(value / sum(weight.values()), rel=0.05)


def test_by_reward_state_survives(library: MotionLibrary) -> None:
    one, two = (sampler(library, SamplerCfg(by="reward")) for _ in range(2))
    ended = torch.tensor([True, True, False])
    one.credit(torch.tensor([0, 5, 110]), torch.tensor([0.5, 0.7, 0.1]), ended)
    assert float(one.episodes.sum()) == pytest.approx(2.0, abs=1e-3)  # episodes that go on do not count yet
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.probabilities(), two.probabilities())


def test_what_is_not_counted_leaves_no_trace(library: MotionLibrary) -> None:
    one, two = sampler(library), sampler(library)
    rows = torch.tensor([0, 50, 110])
    one.update(rows, torch.tensor([True, True, True]), torch.tensor([True, False, True]))
    two.update(rows[[0, 2]], torch.tensor([True, True]))
    assert torch.equal(one.failures, two.failures) and torch.equal(one.visits, two.visits)
