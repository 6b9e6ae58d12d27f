"""Dataclass <-> YAML, strictly: defaults in code < cfg/*.yaml < key=value.

A configuration is a frozen dataclass of numbers, strings, tuples, dicts and
other configurations. YAML is read and merged by OmegaConf; this module only
turns the merged tree into the dataclass and refuses what does not fit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

from humanoid.core.errors import ConfigError, nearest, one_line

T = TypeVar("T")

PROVENANCE = "provenance"
"""Top-level key that a run adds to its ``config.yaml``; it records and configures nothing."""


def load_config(cls: type[T], path: str | Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Build ``cls`` from its defaults, a YAML file and ``key=value`` overrides.

    Args:
        cls: frozen dataclass to build.
        path: YAML file with the keys that differ from the defaults, or None.
        overrides: dotted assignments such as ``ppo.learning_rate=3e-4``.

    Raises:
        ConfigError: unreadable file, unknown key (the nearest is named), wrong type.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        tree = _read_yaml(Path(path))
    for item in overrides:
        if "=" not in item:
            raise ConfigError(f"override '{item}' is not of the form key=value")
    where = str(path) if path is not None else cls.__name__
    try:
        merged = OmegaConf.merge(OmegaConf.create(tree), OmegaConf.from_dotlist(list(overrides)))
    except Exception as error:  # OmegaConf has no common base for parse and merge errors
        raise ConfigError(f"override {list(overrides)}: {one_line(error)}") from error
    try:
        plain = OmegaConf.to_container(merged, resolve=True)
    except Exception as error:  # an interpolation ${...} that leads nowhere
        raise ConfigError(f"{where}: {one_line(error)}") from error
    assert isinstance(plain, dict)
    return from_dict(cls, plain, where=where)


def from_dict(cls: type[T], tree: dict[Any, Any], where: str = "config", prefix: str = "") -> T:
    """Build a dataclass from a plain tree; unknown keys and wrong types are errors."""
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if key not in fields:
            raise ConfigError(f"{where}: unknown key '{name}'{nearest(str(key), fields)}")
        values[key] = _convert(hints[key], value, where, name)
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {prefix or cls.__name__}: {one_line(error)}") from error


def to_dict(cfg: Any) -> dict[str, Any]:  # noqa: ANN401 - any configuration dataclass
    """Return the configuration as plain dicts, lists and scalars."""

    def plain(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value

    return plain(dataclasses.asdict(cfg))


def to_yaml(cfg: Any) -> str:  # noqa: ANN401 - any configuration dataclass
    """Return the configuration as YAML text, readable by :func:`load_config`."""
    return OmegaConf.to_yaml(OmegaConf.create(to_dict(cfg)))


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file")
    try:
        tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception as error:  # yaml and OmegaConf errors share no base
        raise ConfigError(f"{path}: not valid YAML: {one_line(error)}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected 'key: value' pairs at the top level")
    tree.pop(PROVENANCE, None)
    return typing.cast(dict[str, Any], tree)


def _convert(hint: Any, value: Any, where: str, name: str) -> Any:  # noqa: ANN401
    """Return ``value`` as the annotated type, or raise naming the key."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)

    def wrong(expected: str) -> ConfigError:
        return ConfigError(f"{where}: '{name}' must be {expected}, got {value!r}")

    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        options = [option for option in args if option is not type(None)]
        if len(options) == 1:  # so that an error inside a group names the key inside
            return _convert(options[0], value, where, name)
        for option in options:
            with contextlib.suppress(ConfigError):
                return _convert(option, value, where, name)
        raise wrong(" or ".join(str(option) for option in args))
    if origin is typing.Literal:
        if value not in args:
            raise ConfigError(f"{where}: '{name}' is {value!r}{nearest(str(value), map(str, args))}")
        return value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise wrong("a group of keys")
        return from_dict(typing.cast(type, hint), value, where, f"{name}.")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise wrong("a list")
        if args[-1] is not Ellipsis and len(value) != len(args):
            raise wrong(f"a list of {len(args)}")
        items = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        return tuple(
            _convert(item, entry, where, f"{name}[{i}]")
            for i, (item, entry) in enumerate(zip(items, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, dict):
            raise wrong("a group of keys")
        return {str(key): _convert(args[1], item, where, f"{name}.{key}") for key, item in value.items()}
    if hint is bool:
        if not isinstance(value, bool):
            raise wrong("true or false")
        return value
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong("a whole number")
        return value
    if hint is float:
        if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
            try:
                return float(value)
            except ValueError:
                raise wrong("a number") from None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise wrong("a number")
        return float(value)
    if hint is str:
        if not isinstance(value, str):
            raise wrong("text")
        return value
    raise ConfigError(f"{where}: '{name}' has an unsupported annotation {hint!r}")
