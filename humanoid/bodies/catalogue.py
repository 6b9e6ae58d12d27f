"""Embodiments by name, as users write them: ``smpl``, ``g1``, ``g1:/path/to/g1.xml``."""

from __future__ import annotations

from collections.abc import Callable

from humanoid.bodies import g1, h1, smpl
from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.smpl_model import SmplModelCfg, build_from_model
from humanoid.core.errors import InputError, nearest


def _smpl(path: str | None) -> Embodiment:
    return smpl.build() if path is None else build_from_model(SmplModelCfg(path=path))


def _smpl_ball(path: str | None) -> Embodiment:
    if path is None:
        return smpl.build(smpl.SmplCfg(dofs="ball"))
    return build_from_model(SmplModelCfg(path=path, dofs="ball"))


EMBODIMENTS: dict[str, Callable[[str | None], Embodiment]] = {
    "smpl": _smpl,
    "smpl_ball": _smpl_ball,
    "g1": g1.build,
    "h1": h1.build,
}
"""Name -> builder of a file that the user named, or of what it finds by itself."""


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
