"""Legs, arms, spine and head of a skeleton, found by the shape of its tree alone.

Only the tree and the lengths of the bones are looked at, never directions: the rest pose
of a file may be any pose, even all bones in one line (LAFAN1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

LEG = 0.491
"""Hip to ankle over stature (Drillis and Contini, in Winter, "Biomechanics and Motor Control")."""
_SPAN = 1.5
"""Longest way between two tips of a skeleton (toe to finger) over stature, about."""
_LIMB = 0.2
"""Least length of a leg or an arm, part of the longest way between two tips."""
_ALIKE = 0.2
"""Relative difference of bones that still count as mirrored."""
_TINY = 0.01
"""A bone below this part of the longest way between two tips only groups joints at one place."""

Chain = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Limbs:
    """Joints of a person's limbs, by index; which of two legs is the left one is not known.

    Attributes:
        pelvis: joint at which the legs part.
        chest: joint at which the arms part.
        legs: two chains from below the pelvis to a tip, in one order with ``arms`` by chance only.
        arms: two chains from below the chest to a tip.
        spine: joints below the pelvis up to and with the chest.
        head: joints above the chest to the tip of the head; may be empty.
    """

    pelvis: int
    chest: int
    legs: tuple[Chain, Chain]
    arms: tuple[Chain, Chain]
    spine: Chain
    head: Chain


class Tree:
    """A skeleton as a tree with bone lengths."""

    def __init__(self, parents: Sequence[int], lengths: Sequence[float]) -> None:
        """Measure the tree; parents stand before their children, the root's is -1."""
        self.parents, self.lengths = list(parents), [float(v) for v in lengths]
        self.children: list[list[int]] = [[] for _ in parents]
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                self.children[parent].append(joint)
        self.depth = [0.0] * len(self.parents)
        """Longest way from each joint down to a tip."""
        self.span = 0.0
        """Longest way between two tips."""
        for joint in reversed(range(len(self.parents))):
            ways = sorted((self.branch(child) for child in self.children[joint]), reverse=True)
            self.depth[joint] = ways[0] if ways else 0.0
            self.span = max(self.span, sum(ways[:2]))

    def branch(self, joint: int) -> float:
        """Return the longest way from the parent of a joint through it to a tip."""
        return self.lengths[joint] + self.depth[joint]

    def chain(self, joint: int) -> Chain:
        """Return the joints from ``joint`` along the longest way to a tip."""
        chain = [joint]
        while self.children[chain[-1]]:
            chain.append(max(self.children[chain[-1]], key=self.branch))
        return tuple(chain)

    def way(self, ancestor: int, joint: int) -> Chain:
        """Return the joints below ``ancestor`` down to and with ``joint``; () if it is not above it."""
        way = []
        while joint not in (ancestor, -1):
            way.append(joint)
            joint = self.parents[joint]
        return tuple(reversed(way)) if joint == ancestor else ()

    def tiny(self, joint: int) -> bool:
        """Whether a joint is, for practical purposes, where its parent is."""
        return self.lengths[joint] <= _TINY * self.span

    def stature(self) -> float:
        """Estimate the height of the person in the skeleton's unit of length.

        From thigh and shin where legs are found, else from the longest way between two tips.
        """
        limbs = self.limbs()
        if limbs is None:
            return self.span / _SPAN
        legs = [thigh_and_shin(self, leg) for leg in limbs.legs]
        return sum(self.lengths[knee] + self.lengths[ankle] for knee, ankle in legs) / 2 / LEG

    def limbs(self) -> Limbs | None:
        """Return the limbs, or None where the tree is not clearly that of a person."""
        pairs = self._pairs()
        if len(pairs) != 2:
            return None
        (one, *_), (other, *_) = pairs
        if self.way(other, one) or (not self.way(one, other) and self._crowned(pairs[0])):
            pairs.reverse()
        (pelvis, *legs), (chest, *arms) = pairs
        spine = self.way(pelvis, chest)
        if not spine:  # the legs hang on a joint beside the spine
            if self._crowned(pairs[0]) or not self._crowned(pairs[1]):
                return None
            above = {-1, *self.way(-1, pelvis)}
            spine = tuple(joint for joint in self.way(-1, chest) if joint not in above)
        if not spine or any(min(thigh_and_shin(self, self.chain(leg))) < 0 for leg in legs):
            return None
        others = [joint for joint in self.children[chest] if joint not in arms]
        return Limbs(
            pelvis=pelvis,
            chest=chest,
            legs=(self.chain(legs[0]), self.chain(legs[1])),
            arms=(self.chain(arms[0]), self.chain(arms[1])),
            spine=spine,
            head=self.chain(max(others, key=self.branch)) if others else (),
        )

    def _pairs(self) -> list[tuple[int, int, int]]:
        """Return parent and both children of the mirrored limbs; fingers of a hand do not count."""
        long = [j for j, p in enumerate(self.parents) if p >= 0 and self.branch(j) > _LIMB * self.span]
        pairs = [
            (self.parents[a], a, b)
            for a, b in combinations(long, 2)
            if self.parents[a] == self.parents[b] and self._alike(a, b)
        ]
        inside = {joint for _, *pair in pairs for top in pair for joint in self._below(top)}
        return [pair for pair in pairs if pair[0] not in inside]

    def _below(self, joint: int) -> list[int]:
        found = [joint]
        for each in found:
            found += self.children[each]
        return found

    def _alike(self, a: int, b: int) -> bool:
        one, other = ([j for j in self.chain(top) if not self.tiny(j)][:3] for top in (a, b))
        return len(one) == len(other) >= 2 and all(
            abs(self.lengths[i] - self.lengths[j])
            <= _ALIKE * max(self.lengths[i], self.lengths[j]) + _TINY * self.span
            for i, j in zip(one, other, strict=True)
        )

    def _crowned(self, pair: tuple[int, int, int]) -> bool:
        """Whether a neck rises between the two limbs."""
        parent, *limbs = pair
        return any(not self.tiny(j) or self.depth[j] > 0 for j in self.children[parent] if j not in limbs)


def thigh_and_shin(tree: Tree, leg: Chain) -> tuple[int, int]:
    """Return the joints at the lower ends of the two longest bones of a leg, in order: knee, ankle.

    The first bone, which runs from the pelvis to the hip, does not count. (-1, -1) where the
    leg has fewer bones or they differ by more than a person's.
    """
    longest = sorted(sorted(leg[1:], key=lambda joint: -tree.lengths[joint])[:2], key=leg.index)
    if len(longest) < 2 or not 0.5 < tree.lengths[longest[0]] / max(tree.lengths[longest[1]], 1e-9) < 2.0:
        return -1, -1
    return longest[0], longest[1]
