"""Dataclass <-> YAML, strictly: defaults in code < cfg/*.yaml < key=value.

A configuration is a frozen dataclass of numbers, strings, tuples, dicts and other configurations.
YAML is read and merged by OmegaConf; here the merged tree becomes the dataclass.

A group or dict in YAML merges into the default, key by key; ``key: null`` removes an entry of a
default dict. Field constraints are those of :mod:`humanoid.core.constraints`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

from humanoid.core.constraints import check
from humanoid.core.errors import ConfigError, MismatchError, nearest, one_line

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


def from_dict(
    cls: type[T], tree: dict[Any, Any], where: str = "config", prefix: str = "", base: T | None = None
) -> T:
    """Build a dataclass from a plain tree.

    Args:
        cls: frozen dataclass to build.
        tree: field -> plain value; groups and dicts merge into the defaults.
        where: source of the tree, for messages.
        prefix: dotted name of the group that the tree is, for messages.
        base: values of the fields that the tree leaves out; the class's defaults by default.

    Raises:
        ConfigError: unknown key, wrong type or violated constraint.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls, include_extras=True)
    values = {} if base is None else {name: getattr(base, name) for name in fields}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if key not in fields:
            raise ConfigError(f"{where}: unknown key '{name}'{nearest(str(key), fields)}")
        values[key] = _convert(hints[key], value, where, name, values.get(key, _default(fields[key])))
        try:
            check(hints[key], values[key], name)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {prefix or cls.__name__}: {one_line(error)}") from error


def _default(field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - of any type
    """Return a field's default, None where it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def to_dict(cfg: Any) -> dict[str, Any]:  # noqa: ANN401 - any configuration dataclass
    """Return the configuration as plain dicts, lists and scalars, from which :func:`from_dict` builds it."""
    return _plain(cfg, None)


def _plain(value: Any, default: Any) -> Any:  # noqa: ANN401
    """Return ``value`` as plain values; an entry of the ``default`` dict that it lacks becomes None."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name), _default(field))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        removed = [key for key in default if key not in value] if isinstance(default, dict) else []
        return {key: _plain(item, None) for key, item in value.items()} | dict.fromkeys(removed)
    if isinstance(value, (list, tuple)):
        return [_plain(item, None) for item in value]
    return value


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


def _convert(hint: Any, value: Any, where: str, name: str, default: Any = None) -> Any:  # noqa: ANN401
    """Return ``value`` as the annotated type, merged into ``default``, or raise naming the key."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _convert(args[0], value, where, name, default)

    def wrong(expected: str) -> ConfigError:
        return ConfigError(f"{where}: '{name}' must be {expected}, got {value!r}")

    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        options = [option for option in args if option is not type(None)]
        if len(options) == 1:  # so that an error inside a group names the key inside
            return _convert(options[0], value, where, name, default)
        for option in options:
            with contextlib.suppress(ConfigError):
                return _convert(option, value, where, name, default)
        raise wrong(" or ".join(str(option) for option in args))
    if origin is typing.Literal:
        if value not in args:
            raise ConfigError(f"{where}: '{name}' is {value!r}{nearest(str(value), map(str, args))}")
        return value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise wrong("a group of keys")
        base = default if type(default) is hint else None
        return from_dict(typing.cast(type, hint), value, where, f"{name}.", base)
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
        merged = dict(default) if isinstance(default, dict) else {}
        for key, item in value.items():
            if item is None and not _optional(args[1]):
                merged.pop(str(key), None)
            else:
                merged[str(key)] = _convert(args[1], item, where, f"{name}.{key}", merged.get(str(key)))
        return merged
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


def _optional(hint: Any) -> bool:  # noqa: ANN401
    return type(None) in typing.get_args(hint)


def first_difference(name: str, theirs: object, mine: object, source: str) -> None:
    """Check that two plain values agree; an error names the innermost first difference.

    Raises:
        MismatchError: they differ.
    """
    if theirs == mine:
        return
    if isinstance(theirs, Mapping) and isinstance(mine, Mapping):
        for key in (*mine, *theirs):
            first_difference(f"{name}.{key}", theirs.get(key), mine.get(key), source)
    if isinstance(theirs, list) and isinstance(mine, list):
        for index, (a, b) in enumerate(zip(theirs, mine, strict=False)):
            first_difference(f"{name}[{index}]", a, b, source)
        raise MismatchError(f"{source}: {name} has {len(theirs)} entries, {len(mine)} are needed")
    raise MismatchError(f"{source}: {name} is {theirs!r}, {mine!r} is needed")
