"""Manifests: YAML files that say which captured clips make up a motion set.

A manifest names folders and clips. Clips are looked for in ``$HUMANOID_MOTIONS``, in the
user's cache, beside the manifest, and in its folders: relative to the manifest, or inside
an installed package (``package:NAME/sub/folder``), which is found without being imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
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
    """How often it is drawn for each of its seconds."""
    tags: tuple[str, ...] = ()
    """What it shows: walk, run, fight, ..."""
    split: Literal["train", "test"] = "train"
    """Whether it is there to learn from, or kept back to test with."""
    mirror: bool = False
    """Whether its mirror image is as good a clip: not where a side matters (a right-handed throw)."""


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
    """What ``humanoid motions fetch`` calls this source; empty where it cannot be fetched."""

    def select(self, names: Sequence[str], split: str = "") -> tuple[ClipEntry, ...]:
        """Return the clips of these names or tags, all of them for an empty list.

        Args:
            names: each a clip or a tag, or, where one word is both, ``clip:NAME`` or ``tag:NAME``.
            split: keep those of ``train`` or ``test`` only; both if empty.

        Raises:
            InputError: neither a clip nor a tag of the manifest; no clip is left.
        """
        clips = {clip.name for clip in self.clips}
        tags = {tag for clip in self.clips for tag in clip.tags}
        known = {*clips, *tags}
        wanted_clips, wanted_tags = set[str](), set[str]()
        for given in names:
            kind, _, name = given.rpartition(":") if given.startswith(("clip:", "tag:")) else ("", "", given)
            allowed = {"clip": clips, "tag": tags, "": known}[kind]
            if name not in allowed:
                what = kind or "clip or tag"
                raise InputError(f"'{given}' is no {what} of manifest '{self.name}'{nearest(name, allowed)}")
            if kind != "tag":
                wanted_clips.add(name)
            if kind != "clip":
                wanted_tags.add(name)
        if split not in ("", "train", "test"):
            raise InputError(f"split '{split}' of manifest '{self.name}'; allowed: train, test")
        found = tuple(
            clip
            for clip in self.clips
            if (not names or clip.name in wanted_clips or wanted_tags.intersection(clip.tags))
            and split in ("", clip.split)
        )
        if not found and self.clips:
            raise InputError(f"manifest '{self.name}': none of these clips is of the split '{split}'")
        return found


def load_manifest(name: str | Path) -> Manifest:
    """Read a manifest by path or by the name of a shipped one.

    Its folders come back absolute and with the manifest's own first; ``package:`` ones stay.

    Raises:
        InputError: no such manifest, or two clips of one name.
        ConfigError: unknown key or wrong type.
    """
    path = data_file("motions", name)
    manifest = load_config(Manifest, path)
    names = [clip.name for clip in manifest.clips]
    for clip in names:
        if names.count(clip) > 1:
            raise InputError(f"{path}: two clips are called '{clip}'")
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
