"""Cutting long takes into skills without labels: Skill Boundary Detection.

After "Open-World Skill Discovery from Unsegmented Demonstrations" (SBD, arXiv 2503.10684):
a model that knows no goals predicts what comes next; within a skill it does well, and
where its error rises above the mean of the current segment by a gap, another skill began.
There the model predicts actions, here poses, and three things differ:

- It predicts 0.3 to 0.4 s ahead, so that a smooth transition does not hide the change.
- A second model predicts backwards in time; the two errors are added. Errors are Gaussian
  log-likelihoods with a predicted variance: what is always hard to foretell counts less.
- The gap is in standard deviations of the score, since no absolute one fits all motion.

The models are trained on the takes that are cut. Recurring motion is learned, in whatever
order; a transition from one skill to another occurs once or twice and is not.
So takes of the same skills should be given together: one short take alone, in which
nothing recurs, is cut much less well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanoid.core.errors import ConfigError, MismatchError
from humanoid.motion.motion import Motion
from humanoid.spatial import rotation as rot

_WEIGHTS = {"pose": 1.0, "up": 0.5, "height": 2.0, "lin_vel": 0.15, "ang_vel": 0.1}
"""Metres that a unit of each feature counts for."""
_LEAST_LOG_STD = -4.0
"""Least error, relative to the largest component's spread."""
_CHUNK = 16384


@dataclass(frozen=True, kw_only=True)
class SegmentCfg:
    """How takes are cut."""

    gap: float = 1.0
    """How far the score must rise above the segment's mean, in standard deviations of all scores."""
    min_seconds: float = 0.8
    """Shortest segment [s]."""
    ahead: float = 0.16
    """Half the time [s] that the prediction bridges."""
    spacing: float = 0.06
    """Time [s] between the three frames that are seen, and between the three predicted."""
    smooth: float = 0.1
    """Standard deviation [s] of the smoothing of the score."""
    memory: float = 2.0
    """Seconds of the average score that a new segment's mean starts with."""
    components: int = 32
    """Principal components that a pose is reduced to."""
    hidden: int = 128
    """Width of the two hidden layers."""
    steps: int = 1500
    """Gradient steps of each of the two models."""
    batch: int = 256
    """Windows a step."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule of Adam."""
    seed: int = 0
    """Of initial weights and batches."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("min_seconds", "ahead", "spacing", "components", "hidden", "steps", "batch"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"segment {name} is {getattr(self, name)}; it must be positive")


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Where one take is cut.

    Attributes:
        name: of the take.
        fps: frames per second of ``score``.
        boundaries: [s] ascending, without the two ends.
        score: (T,) how badly each instant joins its past and its future, for plots.
    """

    name: str
    fps: float
    boundaries: tuple[float, ...]
    score: Tensor = field(repr=False)

    @property
    def segments(self) -> list[tuple[float, float]]:
        """Start and end [s] of each segment."""
        edges = (0.0, *self.boundaries, (len(self.score) - 1) / self.fps)
        return list(pairwise(edges))


def segment(motions: Sequence[Motion], cfg: SegmentCfg | None = None) -> list[Segmentation]:
    """Cut takes into skills.

    Args:
        motions: takes of one embodiment at one rate; the more often a skill recurs in them, the better.
        cfg: the defaults if None.

    Raises:
        MismatchError: takes differ in rate or bodies.
    """
    cfg = cfg or SegmentCfg()
    scores = surprise(motions, cfg)
    if not scores:
        return []
    everything = torch.cat(scores)
    mean, spread = float(everything.mean()), max(float(everything.std(correction=0)), 1e-6)
    return [
        Segmentation(
            name=motion.name,
            fps=motion.fps,
            boundaries=tuple(_boundaries(score, mean, spread, motion.fps, cfg)),
            score=score,
        )
        for motion, score in zip(motions, scores, strict=True)
    ]


def surprise(motions: Sequence[Motion], cfg: SegmentCfg) -> list[Tensor]:
    """Return the smoothed score (T,) of each take: both models' negative log-likelihoods.

    Raises:
        MismatchError: takes differ in rate or bodies.
    """
    if not motions:
        return []
    _require_alike(motions)
    fps = motions[0].fps
    poses = _reduced([features(motion) for motion in motions], cfg.components)
    offsets = _offsets(fps, cfg)
    totals = [torch.zeros(len(pose)) for pose in poses]
    for reverse in (False, True):
        tracks = [pose.flip(0) if reverse else pose for pose in poses]
        errors = _prediction_errors(tracks, offsets, cfg)
        totals = [total + (e.flip(0) if reverse else e) for total, e in zip(totals, errors, strict=True)]
    return [_smoothed(total, cfg.smooth * fps) for total in totals]


def speed_boundaries(motion: Motion, threshold: float, min_seconds: float = 0.8) -> list[float]:
    """Return the baseline's boundaries [s]: moments of least speed, where it is below a threshold.

    Args:
        motion: the take.
        threshold: mean speed [m/s] of the bodies under which people are taken to pause.
        min_seconds: shortest segment [s].
    """
    speed = motion.states.body_lin_vel_w.norm(dim=-1).mean(-1)
    still = -_smoothed(speed, 0.06 * motion.fps)
    return [i / motion.fps for i in _peaks(still, motion.fps, min_seconds) if -still[i] < threshold]


def features(motion: Motion) -> Tensor:
    """Return what is predicted, (T, 3 N + 7): the same wherever the take is and whatever way it faces.

    Positions of the bodies and the direction of up in the root's frame, the root's height
    and its velocities in its own frame, each weighted by what a unit of it counts for.
    """
    s = motion.states
    inverse = rot.conjugate(s.root_quat_w)
    arms = s.body_pos_w[:, 1:] - s.root_pos_w.unsqueeze(1)
    parts = {
        "pose": rot.rotate(inverse.unsqueeze(1), arms).flatten(1),
        "up": rot.rotate(inverse, torch.tensor((0.0, 0.0, 1.0)).expand(len(inverse), 3)),
        "height": s.root_pos_w[:, 2:],
        "lin_vel": rot.rotate(inverse, s.root_lin_vel_w),
        "ang_vel": rot.rotate(inverse, s.root_ang_vel_w),
    }
    return torch.cat([_WEIGHTS[name] * part for name, part in parts.items()], dim=1)


def _require_alike(motions: Sequence[Motion]) -> None:
    first = motions[0]
    for motion in motions:
        if abs(motion.fps - first.fps) > 1e-3 or motion.body_names != first.body_names:
            raise MismatchError(
                f"motion '{motion.name}' has {motion.fps:g} fps and {len(motion.body_names)} bodies, "
                f"'{first.name}' {first.fps:g} and {len(first.body_names)}; takes cut together must be alike"
            )


def _offsets(fps: float, cfg: SegmentCfg) -> tuple[list[int], list[int]]:
    """Return the frames that are seen and those that are predicted, relative to now."""
    near, step = max(round(cfg.ahead * fps), 1), max(round(cfg.spacing * fps), 1)
    later = [near, near + step, near + 2 * step]
    return [-offset for offset in reversed(later)], later


def _reduced(tracks: list[Tensor], components: int) -> list[Tensor]:
    """Return principal components (T, K), those of the largest at unit variance."""
    everything = torch.cat(tracks).double()
    mean = everything.mean(0)
    covariance = torch.cov((everything - mean).T, correction=0)
    values, vectors = torch.linalg.eigh(covariance)
    scale = values[-1].clamp_min(1e-12).rsqrt()
    # the sign of an eigenvector is free: fixed here, for two machines to agree
    basis = vectors[:, -components:].flip(1)
    strongest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
    basis = basis * strongest.sign() * scale
    return [((track.double() - mean) @ basis).float() for track in tracks]


def _prediction_errors(
    tracks: list[Tensor], offsets: tuple[list[int], list[int]], cfg: SegmentCfg
) -> list[Tensor]:
    """Train one model on all tracks and return its negative log-likelihood (T,) along each."""
    past, future = (torch.tensor(part) for part in offsets)
    reach = int(future[-1])
    table = torch.cat(tracks)
    starts = torch.tensor([len(track) for track in tracks]).cumsum(0) - torch.tensor([len(t) for t in tracks])
    inner = [
        start + torch.arange(reach, max(len(track) - reach, reach))
        for start, track in zip(starts.tolist(), tracks, strict=True)
    ]
    rows = torch.cat(inner)
    if not len(rows):
        return [torch.zeros(len(track)) for track in tracks]
    generator = torch.Generator().manual_seed(cfg.seed)
    model = _network(len(past) * table.shape[1], len(future) * table.shape[1] + 1, cfg.hidden, generator)

    def losses(now: Tensor) -> Tensor:
        seen = table[now.unsqueeze(1) + past]
        wanted = (table[now.unsqueeze(1) + future] - seen[:, -1:]).flatten(1)
        out = model(seen.flatten(1))
        mean, log_std = out[:, :-1], _LEAST_LOG_STD + functional.softplus(out[:, -1] - _LEAST_LOG_STD)
        return 0.5 * (wanted - mean).square().mean(1) * torch.exp(-2 * log_std) + log_std

    optimizer = torch.optim.AdamW(model.parameters(), cfg.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, cfg.learning_rate, cfg.steps)
    for _ in range(cfg.steps):
        draw = torch.randint(len(rows), (cfg.batch,), generator=generator)
        loss = losses(rows[draw]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        values = [torch.cat([losses(part) for part in now.split(_CHUNK)]) for now in inner]
    return [_padded(value, len(track), reach) for value, track in zip(values, tracks, strict=True)]


def _network(inputs: int, outputs: int, hidden: int, generator: torch.Generator) -> nn.Sequential:
    """Return a perceptron whose initial weights come from ``generator`` alone."""
    with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global one when made
        layers = [nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)]
    for layer in layers:
        bound = 1.0 / math.sqrt(layer.in_features)
        nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.GELU(), layers[1], nn.GELU(), layers[2])


def _padded(values: Tensor, frames: int, reach: int) -> Tensor:
    """Return ``values`` with their first and last repeated where no window fits. (T,)."""
    if not len(values):
        return torch.zeros(frames)
    last = frames - reach - len(values)
    return torch.cat((values[:1].expand(reach), values, values[-1:].expand(last)))


def _smoothed(values: Tensor, sigma: float) -> Tensor:
    """Return ``values (T,)`` under a Gaussian of ``sigma`` frames."""
    half = max(math.ceil(3 * sigma), 1)
    window = torch.exp(-0.5 * (torch.arange(-half, half + 1) / max(sigma, 1e-3)) ** 2)
    row = functional.pad(values[None, None], (half, half), mode="replicate")
    return functional.conv1d(row, (window / window.sum())[None, None])[0, 0]


def _peaks(score: Tensor, fps: float, min_seconds: float) -> list[int]:
    """Return frames that are the largest within half a shortest segment, ends excluded."""
    half = max(round(0.5 * min_seconds * fps), 1)
    if len(score) <= 2 * half:
        return []
    top = functional.max_pool1d(score[None, None], 2 * half + 1, stride=1, padding=half)[0, 0]
    edge = max(half // 2, 1)
    inside = torch.arange(len(score))
    keep = (score == top) & (inside >= edge) & (inside < len(score) - edge)
    return keep.nonzero()[:, 0].tolist()


def _boundaries(score: Tensor, mean: float, spread: float, fps: float, cfg: SegmentCfg) -> list[float]:
    """Return the boundaries [s] of one take: peaks above the mean of their segment so far."""
    sums = torch.cat((torch.zeros(1), score)).double().cumsum(0)
    prior, rest = cfg.memory * fps, round(0.5 * cfg.min_seconds * fps)
    last, begin, found = 0, 0, list[float]()
    for frame in _peaks(score, fps, cfg.min_seconds):
        count = max(frame - rest - begin, 0)
        total = float(sums[begin + count] - sums[begin])
        level = (total + prior * mean) / (count + prior)
        if score[frame] - level > cfg.gap * spread and (not found or frame - last >= 2 * rest):
            last, begin = frame, frame + rest
            found.append(frame / fps)
    return found
