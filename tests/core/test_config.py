"""Configurations: strict keys, strict types, defaults < file < overrides."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanoid.core import ConfigError, from_dict, load_config, to_dict, to_yaml
from humanoid.core.constraints import (
    Among,
    AtLeast,
    Checked,
    Count,
    NonNegative,
    NonNegativeRange,
    Positive,
    Share,
)


@dataclass(frozen=True, kw_only=True)
class InnerCfg:
    """A group."""

    rate: float = 1.0
    steps: int = 3


@dataclass(frozen=True, kw_only=True)
class OuterCfg:
    """One field of every kind."""

    name: str = "walk"
    flag: bool = False
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = (2, 3)
    span: tuple[float, float] = (0.0, 1.0)
    weights: dict[str, float] = field(default_factory=lambda: {"x": 1.0})
    limit: float | None = None
    either: int | str = 1
    inner: InnerCfg = InnerCfg()
    spare: InnerCfg | None = None


@dataclass(frozen=True, kw_only=True)
class NeedyCfg:
    """A field without a default."""

    clip: str


def _file(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text)
    return path


def test_nothing_given_is_the_defaults() -> None:
    assert load_config(OuterCfg) == OuterCfg()


def test_file_beats_default_and_override_beats_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "name: run\ninner:\n  rate: 2\n  steps: 7\n")
    cfg = load_config(OuterCfg, path, ["inner.rate=5e-1", "flag=true"])
    assert cfg == OuterCfg(name="run", flag=True, inner=InnerCfg(rate=0.5, steps=7))


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("sizes=[4,5,6]", "sizes", (4, 5, 6)),
        ("sizes=[]", "sizes", ()),
        ("span=[-1,2]", "span", (-1.0, 2.0)),
        ("weights.y=2", "weights", {"x": 1.0, "y": 2.0}),
        ("weights.x=null", "weights", {}),
        ("limit=3", "limit", 3.0),
        ("limit=null", "limit", None),
        ("either=word", "either", "word"),
        ("kind=b", "kind", "b"),
        ("name=a=b", "name", "a=b"),
        ("spare.steps=2", "spare", InnerCfg(steps=2)),
    ],
)
def test_override_of_each_kind(override: str, name: str, value: object) -> None:
    assert getattr(load_config(OuterCfg, None, [override]), name) == value


@pytest.mark.parametrize("number", ["1e-3", "1.5", "2", "-3e5"])
def test_numbers_of_yaml_1_1_that_read_as_text_are_numbers(tmp_path: Path, number: str) -> None:
    assert load_config(OuterCfg, _file(tmp_path, f"limit: {number}\n")).limit == float(number)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nmae=run", "'nmae'"),
        ("inner.stepz=1", r"'inner\.stepz'"),
        ("spare.stepz=1", r"'spare\.stepz'"),
        ("flag=1", "'flag'"),
        ("name=3", "'name'"),
        ("inner=3", "'inner'"),
        ("inner.steps=1.5", r"'inner\.steps'"),
        ("inner.steps=true", r"'inner\.steps'"),
        ("inner.rate=fast", r"'inner\.rate'"),
        ("inner.rate=true", r"'inner\.rate'"),
        ("inner.rate=null", r"'inner\.rate'"),
        ("span=[1]", "'span'"),
        ("sizes=3", "'sizes'"),
        ("sizes=[1,x]", r"'sizes\[1\]'"),
        ("weights=3", "'weights'"),
        ("weights.x=heavy", r"'weights\.x'"),
        ("kind=c", "'kind'"),
        ("either=[1]", "'either'"),
        ("flag", "'flag'"),
        ("name=[", "override"),
    ],
)
def test_wrong_override_is_one_line_that_names_the_key(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(OuterCfg, None, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- 1\n- 2\n", "'key: value'"),
        ("3", "some.yaml"),
        ("name: ${nothing}\n", "some.yaml"),
        ("unknown: 1\n", "'unknown'"),
        ("1: x\n", "'1'"),
    ],
)
def test_wrong_file_is_one_line_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(OuterCfg, _file(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "some.yaml" in str(caught.value)


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="some.yaml"):
        load_config(OuterCfg, path)


def test_missing_file_and_empty_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent.yaml"):
        load_config(OuterCfg, tmp_path / "absent.yaml")
    assert load_config(OuterCfg, _file(tmp_path, "")) == OuterCfg()


def test_missing_required_key_is_named() -> None:
    with pytest.raises(ConfigError, match="clip"):
        load_config(NeedyCfg)


def floats() -> st.SearchStrategy[float]:
    """Numbers but the subnormal ones, which Genesis, once started, has the processor flush to zero."""
    return st.floats(-1e9, 1e9, allow_subnormal=False)


configs = st.builds(
    OuterCfg,
    name=st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="${}\\")),
    flag=st.booleans(),
    kind=st.sampled_from(["a", "b"]),
    sizes=st.lists(st.integers(-1000, 1000), max_size=3).map(tuple),
    span=st.tuples(floats(), floats()),
    weights=st.dictionaries(st.sampled_from(["u", "v", "w"]), floats()),
    limit=st.none() | floats(),
    inner=st.builds(InnerCfg, rate=floats(), steps=st.integers(-5, 5)),
)


@given(cfg=configs)
def test_round_trip_through_yaml(cfg: OuterCfg, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("round") / "cfg.yaml"
    path.write_text(to_yaml(cfg))
    assert load_config(OuterCfg, path) == cfg
    assert from_dict(OuterCfg, to_dict(cfg)) == cfg


@dataclass(frozen=True, kw_only=True)
class BoundedCfg(Checked):
    """Fields with constraints."""

    rate: Positive = 1.0
    share: Share = 0.5
    steps: Annotated[int, AtLeast(2)] = 2
    span: NonNegativeRange = (0.0, 1.0)
    widths: tuple[Count, ...] = (1,)
    limit: Positive | None = None
    terms: dict[Annotated[str, Among(("walk", "run"))], NonNegative] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", 0.0), ("rate", float("nan")), ("rate", float("inf")), ("share", 1.1), ("steps", 1),
        ("span", (1.0, 0.5)), ("span", (-1.0, 0.5)), ("widths", (3, 0)), ("limit", -1.0),
        ("terms", {"walk": -1.0}), ("terms", {"wlak": 1.0}),
    ],
)  # fmt: skip
def test_a_violated_constraint_names_the_field(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"BoundedCfg.{name}"):
        BoundedCfg(**{name: value})
    with pytest.raises(ConfigError, match=rf"some\.yaml: .*group\.{name}") as caught:
        from_dict(BoundedCfg, {name: value}, "some.yaml", "group.")
    assert "\n" not in str(caught.value)


def test_values_on_the_bounds_are_allowed() -> None:
    cfg = BoundedCfg(share=1.0, span=(0.0, 0.0), limit=3.0, terms={"run": 0.0}, widths=())
    assert from_dict(BoundedCfg, to_dict(cfg)) == cfg


@dataclass(frozen=True, kw_only=True)
class MergedCfg:
    """A dict of groups, and a group that differs from the defaults of its class."""

    terms: dict[str, InnerCfg] = field(default_factory=lambda: {"a": InnerCfg(rate=2.0), "b": InnerCfg()})
    inner: InnerCfg = InnerCfg(rate=5.0)


def test_a_dict_merges_into_the_default_key_by_key(tmp_path: Path) -> None:
    path = _file(tmp_path, "terms:\n  a: {steps: 9}\n  c: {rate: 4}\ninner: {steps: 1}\n")
    cfg = load_config(MergedCfg, path, ["terms.b=null"])
    assert cfg.terms == {"a": InnerCfg(rate=2.0, steps=9), "c": InnerCfg(rate=4.0)}
    assert cfg.inner == InnerCfg(rate=5.0, steps=1)
    assert from_dict(MergedCfg, to_dict(cfg)) == cfg
