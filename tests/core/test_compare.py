"""The first difference is named by its place."""

from __future__ import annotations

import pytest

from humanoid.core import MismatchError
from humanoid.core.config import first_difference

MINE = {"joints": ["hip", "knee"], "gains": {"kp": 2.0}}


def test_equal_values_pass() -> None:
    first_difference("body", {"gains": {"kp": 2.0}, "joints": ["hip", "knee"]}, MINE, "file")


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({**MINE, "joints": ["hip", "ankle"]}, "'ankle'"),
        ({**MINE, "joints": ["hip"]}, "body.joints"),
        ({**MINE, "gains": {"kp": 3.0}}, "3.0"),
        ({**MINE, "more": 1}, "body.more"),
    ],
)
def test_the_innermost_place_is_named(theirs: object, message: str) -> None:
    with pytest.raises(MismatchError, match=message):
        first_difference("body", theirs, MINE, "file")
