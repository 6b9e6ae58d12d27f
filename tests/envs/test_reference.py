"""The cursor: never past the end of its clip, the same answers as plain index arithmetic."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from humanoid.envs.reference import ReferenceCursor
from humanoid.motion import MotionLibrary


def test_starts_on_the_first_frame(library: MotionLibrary) -> None:
    cursor = ReferenceCursor(library, 3, (1,))
    assert cursor.row.tolist() == [0, 0, 0]
    assert cursor.last.tolist() == [100, 100, 100]


def test_jump_moves_only_masked_environments(library: MotionLibrary) -> None:
    cursor = ReferenceCursor(library, 3, (1,))
    cursor.jump(torch.tensor([False, True, True]), torch.tensor([50, 60, 120]))
    assert cursor.row.tolist() == [0, 60, 120]
    assert cursor.last.tolist() == [100, 100, 141]


def test_advance_stops_on_the_last_frame_of_the_clip(library: MotionLibrary) -> None:
    cursor = ReferenceCursor(library, 3, (1,))
    cursor.jump(torch.ones(3, dtype=torch.bool), torch.tensor([98, 99, 141]))
    assert cursor.at_end().tolist() == [False, False, True]
    cursor.advance()
    assert cursor.row.tolist() == [99, 100, 141]
    assert cursor.at_end().tolist() == [False, True, True]
    cursor.advance()
    assert cursor.row.tolist() == [100, 100, 141]


@settings(max_examples=15)
@given(
    rows=st.lists(st.integers(0, 141), min_size=1, max_size=8), steps=st.lists(st.integers(0, 60), min_size=1)
)
def test_ahead_is_the_frame_that_many_steps_later_in_the_clip(
    library: MotionLibrary, rows: list[int], steps: list[int]
) -> None:
    cursor = ReferenceCursor(library, len(rows), steps)
    cursor.jump(torch.ones(len(rows), dtype=torch.bool), torch.tensor(rows))
    last = np.where(np.array(rows) <= 100, 100, 141)
    expected = np.minimum(np.array(rows)[:, None] + np.array(steps), last[:, None])
    ahead, table = cursor.ahead(), library.rows(torch.arange(library.num_frames))
    assert ahead.joint_pos.shape == (len(rows), len(steps), library.body.num_joints)
    assert torch.equal(ahead.joint_pos, table.joint_pos[torch.from_numpy(expected)])
    assert torch.equal(cursor.now().body_quat_w, table.body_quat_w[torch.tensor(rows)])
