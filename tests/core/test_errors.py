"""Errors tell what was given, what is allowed and what is meant."""

from __future__ import annotations

import pickle

import pytest

from humanoid.core import errors
from humanoid.core.errors import require


def test_nearest_names_the_closest_and_lists_all() -> None:
    assert errors.nearest("seeed", ["steps", "seed"]) == "; did you mean 'seed'? allowed: seed, steps"


def test_nearest_without_a_close_name_only_lists() -> None:
    assert errors.nearest("zzz", ["b", "a"]) == "; allowed: a, b"


def test_every_error_is_of_the_family() -> None:
    own = [value for value in vars(errors).values() if getattr(value, "__module__", "") == errors.__name__]
    members = [value for value in own if isinstance(value, type)]
    assert len(members) >= 6
    assert all(issubclass(member, errors.HumanoidError) for member in members)


def test_every_error_is_one_line() -> None:
    for member in (errors.InputError, errors.ConfigError, errors.MismatchError, errors.TrainingError):
        assert str(member("a\nfile\r\n: of two\u2028lines")) == "a file : of two lines"
        assert str(pickle.loads(pickle.dumps(member("x\ny")))) == "x y"


def test_require_returns_the_module() -> None:
    assert require("os.path", "mocap").join("a", "b") == "a/b"


def test_require_names_the_pip_command() -> None:
    with pytest.raises(errors.MissingExtraError, match="'no_such_module'"):
        require("no_such_module.inner", "view")


def test_require_names_what_the_module_misses(tmp_path, monkeypatch) -> None:  # noqa: ANN001
    (tmp_path / "needs_more.py").write_text("import absent_dependency\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(errors.MissingExtraError, match="'absent_dependency'"):
        require("needs_more", "mocap")
