"""Manifests: YAML files that list the captured clips of a motion set.

A manifest names folders and clips. Clips are looked for in ``$HUMANOID_MOTIONS``, in the
user's cache, beside the manifest, and in its folders: relative to the manifest, or inside
an installed package (``package:NAME/sub/folder``), which is found without being imported.

A clip that no body can perform (:mod:`humanoid.retarget.feasibility`) stays named: at
another ``speed`` where its file's rate is wrong, ``exclude`` with the reason where it is past repair.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from humanoid.core.config import load_config
from humanoid.core.errors import InputError, nearest
from humanoid.core.paths import MOTIONS_VARIABLE, data_file, motion_roots

_PACKAGE = "package:"


@dataclass(frozen=True, kw_only=True)
class ClipEntry:
    """One clip of a manifest."""

    name: str
    """Name, unique in the manifest."""
    file: str
    """Path below one of the folders."""
    loop: bool | None = None
    """Whether it repeats; None leaves it to the file."""
    weight: float = 1.0
    """Sampling weight, a second."""
    tags: tuple[str, ...] = ()
    """Content: walk, run, fight, ..."""
    split: Literal["train", "test"] = "train"
    """Whether it is there to learn from, or kept back to test with."""
    mirror: bool = False
    """Whether its mirror image is as good a clip: not where a side matters (a right-handed throw)."""
    speed: float = 1.0
    """Factor on the frame rate of the file: corrects a wrong rate."""
    exclude: str = ""
    """Reason why no body can perform it; left out unless named as ``clip:NAME``. Empty: included."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A set of captured clips."""

    name: str
    """Name of the set."""
    clips: tuple[ClipEntry, ...]
    """Its clips."""
    format: str = ""
    """Format of the files, for readers; loaders go by ending and content."""
    source: str = ""
    """Where the files come from."""
    licence: str = ""
    """Their terms."""
    folders: tuple[str, ...] = ()
    """Where to look beyond the usual places; ``package:NAME/sub`` is an installed package."""
    fetch: str = ""
    """Its name for ``humanoid motions fetch``; empty where it cannot be fetched."""

    def select(self, names: Sequence[str], split: str = "") -> tuple[ClipEntry, ...]:
        """Return the clips of these names or tags; see :func:`select_clips`."""
        return select_clips([self], names, split)[0]


def select_clips(
    sets: Sequence[Manifest], names: Sequence[str], split: str = ""
) -> tuple[tuple[ClipEntry, ...], ...]:
    """Return each set's clips of these names or tags, all of them for an empty list.

    Excluded clips are left out unless named as ``clip:NAME``.

    Args:
        sets: what is chosen from.
        names: each a clip, a tag or ``SET/CLIP``; where one word is both clip and tag,
            ``clip:NAME`` or ``tag:NAME``.
        split: keep those of ``train`` or ``test`` only; both if empty.

    Raises:
        InputError: neither a clip nor a tag of any set; no clip is left.
    """
    if split not in ("", "train", "test"):
        raise InputError(f"split '{split}' of {_of(sets)}; allowed: train, test")
    require_known(names, sets)
    found = tuple(
        tuple(
            clip
            for clip in one.clips
            if split in ("", clip.split)
            and (any(selects(given, one, clip) for given in names) if names else not clip.exclude)
        )
        for one in sets
    )
    if any(one.clips for one in sets) and not any(found):
        which = f"is of the split '{split}'" if split else "is left: all are excluded"
        raise InputError(f"{_of(sets)}: none of these clips {which}")
    return found


def selects(word: str, one: Manifest, clip: ClipEntry, excluded: bool = False) -> bool:
    """Return whether a word (see :func:`select_clips`) selects a clip of a set.

    Args:
        word: ``NAME``, ``TAG``, ``SET/CLIP``, ``clip:NAME`` or ``tag:NAME``.
        one: the set.
        clip: its clip.
        excluded: whether words other than ``clip:NAME`` select excluded clips, too.
    """
    kind, name = _parts(word)
    named = kind != "tag" and name in (clip.name, f"{one.name}/{clip.name}")
    tagged = kind != "clip" and name in clip.tags
    return (named and kind == "clip") or ((named or tagged) and (excluded or not clip.exclude))


def require_known(words: Iterable[str], sets: Sequence[Manifest]) -> None:
    """Check that every word selects a clip of some set.

    Raises:
        InputError: one does not; the message names the nearest, or why the clip is excluded.
    """
    pairs = [(one, clip) for one in sets for clip in one.clips]
    for word in words:
        if any(selects(word, one, clip) for one, clip in pairs):
            continue
        kind, name = _parts(word)
        for one, clip in pairs:
            if selects(word, one, clip, excluded=True):
                raise InputError(
                    f"clip '{clip.name}' is excluded from '{one.name}' ({clip.exclude}); "
                    f"select it explicitly with clip:{clip.name}"
                )
        clips = {clip.name for _, clip in pairs} if kind != "tag" else set[str]()
        tags = {tag for _, clip in pairs for tag in clip.tags} if kind != "clip" else set[str]()
        raise InputError(
            f"'{word}' is no {kind or 'clip or tag'} of {_of(sets)}{nearest(name, clips | tags)}"
        )


def _parts(word: str) -> tuple[str, str]:
    """Return ``clip``, ``tag`` or nothing, and the name."""
    kind, colon, name = word.partition(":")
    return (kind, name) if colon and kind in ("clip", "tag") else ("", word)


def _of(sets: Sequence[Manifest]) -> str:
    return ", ".join(f"'{one.name}'" for one in sets)


def load_manifest(name: str | Path) -> Manifest:
    """Read a manifest by path or by the name of a shipped one.

    Its folders come back absolute and with the manifest's own first; ``package:`` ones stay.

    Raises:
        InputError: no such manifest, two clips of one name, or a speed that is none.
        ConfigError: unknown key or wrong type.
    """
    path = data_file("motions", name)
    manifest = load_config(Manifest, path)
    names = [clip.name for clip in manifest.clips]
    for clip in names:
        if names.count(clip) > 1:
            raise InputError(f"{path}: two clips are called '{clip}'")
    for entry in manifest.clips:
        if not 0 < entry.speed < math.inf:
            raise InputError(f"{path}: the speed of '{entry.name}' is {entry.speed:g}; it must be above 0")
    home = path.resolve().parent
    folders = tuple(
        folder if folder.startswith(_PACKAGE) else str(home / Path(folder).expanduser())
        for folder in manifest.folders
    )
    return replace(manifest, folders=(str(home), *folders))


def find_clip(manifest: Manifest, entry: ClipEntry) -> Path:
    """Return the path of a clip's file.

    Raises:
        InputError: in none of the places; the message names them.
    """
    places = _folders(manifest)
    for folder in places:
        for candidate in (folder / entry.file, folder / Path(entry.file).name):
            if candidate.is_file():
                return candidate
    looked = ", ".join(str(place) for place in places)
    get = f"run: humanoid motions fetch {manifest.fetch}" if manifest.fetch else "get it from its source"
    if any(folder.startswith(f"{_PACKAGE}pybullet") for folder in manifest.folders):
        get = f"install the extra 'mocap' (Python 3.11), or {get}"
    raise InputError(
        f"manifest '{manifest.name}': clip '{entry.name}' names the missing file '{entry.file}' (looked in "
        f"{looked}); {get}, or set ${MOTIONS_VARIABLE} to its folder"
    )


def _folders(manifest: Manifest) -> list[Path]:
    roots = motion_roots()
    folders = [folder for root in roots for folder in (root, root / manifest.name)]
    for folder in manifest.folders:
        if not folder.startswith(_PACKAGE):
            folders.append(Path(folder).expanduser())
            continue
        package, _, inside = folder.removeprefix(_PACKAGE).partition("/")
        if not package.isidentifier():  # a dotted name would import its parent
            raise InputError(f"manifest '{manifest.name}': '{folder}' must be '{_PACKAGE}NAME/sub/folder'")
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            folders += [Path(location) / inside for location in spec.submodule_search_locations]
    return list(dict.fromkeys(folders))
