"""Reference commands: a cursor in a motion library, adaptive sampling, off-reference starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import MismatchError
from humanoid.envs.commands import Pose, Reference
from humanoid.envs.sources import CommandSource
from humanoid.envs.starts import PoolTable, StartCfg, Starts, drop
from humanoid.motion.library import MotionLibrary
from humanoid.motion.sampler import AdaptiveSampler, SamplerCfg

if TYPE_CHECKING:
    from humanoid.envs.env import Env


class ReferenceCursor:
    """One table row an environment, advancing one frame a control step.

    Attributes:
        row: (B,) current row of the library's table.
        last: (B,) last row of the current clip.
    """

    def __init__(self, library: MotionLibrary, num_envs: int, future_steps: Sequence[int]) -> None:
        """Start every environment at the first frame of the first clip."""
        self.library = library
        self.row = torch.zeros(num_envs, dtype=torch.long, device=library.device)
        self._ends = library.start + library.length - 1
        self.last = self._ends[library.clip[self.row]]
        self._ahead = torch.tensor(tuple(future_steps), device=library.device)

    def jump(self, mask: Tensor, rows: Tensor) -> None:
        """Move the environments of ``mask (B,)`` to ``rows (B,)``."""
        self.row = torch.where(mask, rows, self.row)
        self.last = self._ends[self.library.clip[self.row]]

    def advance(self, still: Tensor | None = None) -> None:
        """Advance every environment by one frame, up to the last frame of its clip.

        Args:
            still: (B,) bool, whose reference stands still; none by default.
        """
        step = 1 if still is None else (~still).long()
        self.row = torch.minimum(self.row + step, self.last)

    def at_end(self) -> Tensor:
        """Return whether the last frame is reached. (B,) bool."""
        return self.row >= self.last

    def now(self) -> BodyState:
        """Return the reference of the current frame, leading axis B."""
        return self.library.rows(self.row)

    def ahead(self) -> BodyState:
        """Return the references ``future_steps`` frames ahead, leading axes (B, S): joints and the anchor."""
        rows = torch.minimum(self.row[:, None] + self._ahead, self.last[:, None])
        return self.library.anchors(rows)


class ReferenceSource(CommandSource):
    """Reference motions of a library, started by reference state initialisation or off the reference.

    Attributes:
        cursor: where each environment is in the library.
        sampler: distribution of the starts.
        starts: off-reference starts and their grace.
    """

    def __init__(self, env: Env, library: MotionLibrary, sampler: SamplerCfg, start: StartCfg) -> None:
        """Make the sampler and, where configured, pools of off-reference starts.

        Raises:
            ConfigError: a configured kind of start has none.
            InputError: a clip of one frame.
        """
        self._env, self.library = env, library
        count = env.num_envs
        self.sampler = AdaptiveSampler(library, sampler, env.generator)
        self.cursor = ReferenceCursor(library, count, env.cfg.observation.future_steps)
        self.starts = Starts(count, env.device)
        if start.enabled:
            limits = env.parts.limits

            def fall() -> BodyState:
                return drop(env.sim, limits, env.generator)

            bins = self.sampler.bin_of_row
            self.starts.fill(PoolTable(start, library, bins, limits, fall, env.generator))
        zero = torch.zeros(count, env.num_actions, device=env.device)
        self._pose = (zero, zero)
        self._started = torch.zeros(count, dtype=torch.long, device=env.device)
        self._return, self._age = torch.zeros(count, device=env.device), torch.zeros_like(self._started)

    def reset(self, mask: Tensor) -> BodyState:
        """Draw rows to start from; see :class:`CommandSource`."""
        rows = self.sampler.sample(len(mask))
        start = self._env.perturbed(self.library.roots(rows))
        rows, start = self.starts.draw(mask, rows, self.sampler.bin_of_row[rows], start)
        self._jump(mask, rows)
        return start

    def start(self, mask: Tensor, rows: Tensor, grace: Tensor | None = None) -> None:
        """Begin episodes of ``mask (B,)`` at given rows (B,), with grace steps (B,), none by default."""
        self.starts.begin(mask, grace)
        self._jump(mask, rows)

    def advance(self) -> Reference:
        """Advance the cursor, except for references in grace; see :class:`CommandSource`."""
        row = self.cursor.row
        self.cursor.advance(self.starts.advance())
        ref = self.cursor.now()
        # a reference that stands still needs no lead, whatever its velocity was there
        moves = (self.cursor.row > row).unsqueeze(-1)
        self._pose = (ref.joint_pos, ref.joint_vel * moves)
        return Reference(now=ref)

    def command(self) -> Reference:
        """Return the references ahead; see :class:`CommandSource`."""
        return Reference(ahead=self.cursor.ahead())

    def servo_pose(self) -> tuple[Tensor, Tensor]:
        """Return joint angles and velocities of the reference; see :class:`CommandSource`."""
        return self._pose

    def finished(self) -> Tensor:
        """Return whose clip has ended; see :class:`CommandSource`."""
        return self.cursor.at_end()

    def excuse(self, failed: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Apply grace and loss mask; see :class:`CommandSource`."""
        return self.starts.excuse(failed, groups)

    def learn(self, reward: Tensor, failed: Tensor, done: Tensor) -> None:
        """Update the sampler; off-reference episodes do not count; see :class:`CommandSource`."""
        counted = ~self.starts.off
        self.sampler.update(self.cursor.row, failed, counted)
        if self.sampler.cfg.by != "reward":
            return
        self._return, self._age = self._return + reward, self._age + 1
        # a failed episode earns nothing in the rest of its clip
        left = torch.minimum(self.cursor.last - self.cursor.row, self._env.max_episode_length - self._age)
        whole = torch.where(failed, self._age + left.clamp_min(0), self._age)
        best = self._env.kernels.rewards.best
        self.sampler.credit(self._started, self._return / (whole * best), done & counted)
        self._return = torch.where(done, 0.0, self._return)
        self._age = torch.where(done, 0, self._age)

    def metrics(self) -> dict[str, Tensor]:
        """Return how uniform the starts are; see :class:`CommandSource`."""
        top = self.sampler.probabilities().max()
        return {"sampler/entropy": self.sampler.entropy(), "sampler/top1_prob": top}

    def statistics(self) -> list[Tensor]:
        """Return the sampler's averages; see :class:`CommandSource`."""
        sampler = self.sampler
        return [sampler.failures, sampler.visits, sampler.rewards, sampler.episodes]

    def state_dict(self) -> dict[str, Any]:
        """Return the sampler's averages; see :class:`CommandSource`."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the sampler of an earlier run; see :class:`CommandSource`.

        Raises:
            MismatchError: the earlier run had other motions.
        """
        theirs, mine = len(state["failures"]), self.sampler.num_bins
        if theirs != mine:
            raise MismatchError(
                f"the run learned motions of {theirs} bins, these have {mine}; use its motions"
            )
        self.sampler.load_state_dict(state)

    def row(self) -> Tensor:
        """Return the rows of the library, for dumps."""
        return self.cursor.row

    def _jump(self, mask: Tensor, rows: Tensor) -> None:
        self.cursor.jump(mask, rows)
        self._started = torch.where(mask, rows, self._started)


class KeyframeSource(ReferenceSource):
    """Keyframes of a library's motions, one at a time; between them a body is free."""

    def __init__(self, env: Env, library: MotionLibrary, sampler: SamplerCfg, every: float) -> None:
        """Command a keyframe every ``every`` seconds from the start of an episode."""
        super().__init__(env, library, sampler, StartCfg())
        self._every = max(1, round(every * library.fps))

    def advance(self) -> Pose:  # type: ignore[override]
        """Advance the clip; return the keyframe; see :class:`CommandSource`."""
        super().advance()
        return self.command()

    def command(self) -> Pose:  # type: ignore[override]
        """Return the next keyframe; see :class:`CommandSource`."""
        row, every = self.cursor.row, self._every
        passed = torch.div(row - self._started, every, rounding_mode="floor")
        key = torch.minimum(self._started + (passed + 1) * every, self.cursor.last)
        time = (key - row).float() / self.library.fps
        return Pose(time=time[:, None], state=self.library.rows(key[:, None]))
