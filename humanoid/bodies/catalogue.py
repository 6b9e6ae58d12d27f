"""Embodiments by name, as users write them: ``smpl``, ``g1``, ``g1:/path/to/g1.xml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from humanoid.bodies import g1, h1, smpl
from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.smpl_model import SmplModelCfg, build_from_model
from humanoid.core.config import from_dict
from humanoid.core.errors import InputError, nearest
from humanoid.core.registry import Registry


def _smpl(path: str | None) -> Embodiment:
    return smpl.build() if path is None else build_from_model(SmplModelCfg(path=path))


def _smpl_ball(path: str | None) -> Embodiment:
    if path is None:
        return smpl.build(smpl.SmplCfg(dofs="ball"))
    return build_from_model(SmplModelCfg(path=path, dofs="ball"))


EMBODIMENTS: Registry[Callable[[str | None], Embodiment]] = Registry("embodiment")
"""Name -> builder; its argument is the user's file, None for the builder's default."""
register = EMBODIMENTS.register
for _name, _build in {"smpl": _smpl, "smpl_ball": _smpl_ball, "g1": g1.build, "h1": h1.build}.items():
    register(_name, _build)


def embodiment(name: str) -> Embodiment:
    """Build a body by name.

    Args:
        name: a key of :data:`EMBODIMENTS`, or ``KEY:PATH`` with the body's own file: an SMPL,
            SMPL-H or SMPL-X model, a robot's MJCF, or a folder that holds one.

    Raises:
        InputError: unknown name, or a file that is missing or does not fit.
        MissingExtraError: the file needs an optional dependency.
    """
    key, separator, path = name.partition(":")
    if key not in EMBODIMENTS:
        raise InputError(f"embodiment '{name}' is unknown{nearest(key, EMBODIMENTS)}")
    if separator and not path:
        raise InputError(f"embodiment '{name}' names no file; write '{key}' or '{key}:PATH'")
    return EMBODIMENTS[key](path or None)


def configured(name: str, shape: smpl.SmplCfg) -> Embodiment:
    """Build the body of a training configuration.

    Args:
        name: as in :func:`embodiment`.
        shape: height, mass and joints where the body is ``smpl`` without a file, height and mass
            where it is ``smpl_ball``; nothing of it counts for other bodies.

    Raises:
        InputError: as :func:`embodiment`.
        ConfigError: a body that no person has.
        MissingExtraError: the file needs an optional dependency.
    """
    if name == "smpl":
        return smpl.build(shape)
    if name == "smpl_ball":
        return smpl.build(replace(shape, dofs="ball"))
    return embodiment(name)


def trained(config: Mapping[str, Any], signature: Mapping[str, Any], source: str) -> Embodiment:
    """Build the body of a run and check that it is built as it was then.

    A robot's file may lie elsewhere on this machine than where it was trained; it is then
    looked for as if none had been named.

    Args:
        config: the run's configuration as plain values; the default body where it names none.
        signature: of the body when it was trained, see :meth:`Embodiment.signature`.
        source: file it came from, for messages.

    Raises:
        InputError: as :func:`embodiment`.
        ConfigError: the configuration is none of this version.
        MismatchError: this version builds another body.
        MissingExtraError: the file needs an optional dependency.
    """
    name = str(config.get("embodiment", "smpl"))
    key, _, path = name.partition(":")
    if path and not key.startswith("smpl") and not Path(path).expanduser().exists():
        name = key
    body = configured(name, from_dict(smpl.SmplCfg, config.get("body", {}), source))
    body.require_signature(signature, source)
    return body
