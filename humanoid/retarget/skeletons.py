"""Which captured joint is which landmark, for any skeleton: a user's file, a table, or a guess."""

from __future__ import annotations

from dataclasses import replace

from humanoid.core.config import load_config
from humanoid.core.errors import InputError, nearest
from humanoid.mocap.skeleton import Clip
from humanoid.retarget.guess import guess
from humanoid.retarget.presets import LANDMARKS, PRESETS, REQUIRED, SkeletonMap, resolve

__all__ = ["LANDMARKS", "PRESETS", "REQUIRED", "SkeletonMap", "guess", "skeleton_map"]


def skeleton_map(clip: Clip, file: str = "") -> SkeletonMap:
    """Return which joint of a clip is which landmark.

    Args:
        clip: the clip.
        file: YAML file of the user, with ``joints:`` (landmark: joint) and perhaps ``name:``;
            "" to look in the presets and, where none fits, to guess.

    Raises:
        ConfigError: the file is no such YAML.
        InputError: it names a landmark or joint that does not exist; or no preset fits and
            the guess is not clear: the message has what was found, to be completed.
    """
    if file:
        return _checked(load_config(SkeletonMap, file), clip, file)
    found = [each for each in (resolve(table, clip) for table in PRESETS) if each is not None]
    if found:
        return max(found, key=lambda each: len(each.joints))
    return guess(clip)


def _checked(skeleton: SkeletonMap, clip: Clip, file: str) -> SkeletonMap:
    for landmark, joint in skeleton.joints.items():
        if landmark not in LANDMARKS:
            raise InputError(f"{file}: no landmark '{landmark}'{nearest(landmark, LANDMARKS)}")
        if joint not in clip.joint_names:
            hint = nearest(joint, clip.joint_names)
            raise InputError(f"{file}: {landmark}: clip '{clip.name}' has no joint '{joint}'{hint}")
    missing = [name for name in REQUIRED if name not in skeleton.joints]
    if missing:
        raise InputError(f"{file}: landmarks are missing: {', '.join(missing)}; name a joint for each")
    return replace(skeleton, required=(), guessed=False)
