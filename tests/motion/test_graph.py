"""Motion graph: exact matches, symmetry, threshold, paths, the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError, MismatchError
from humanoid.motion import Motion, MotionLibrary, moved
from humanoid.motion.graph import MotionGraph, motion_graph
from humanoid.motion.similarity import SimilarityCfg, alignment_features
from humanoid.spatial import rotation as rot


def elsewhere(motion: Motion, name: str, angle: float = 2.2) -> Motion:
    turn = rot.about_axis(torch.tensor((0.0, 0.0, 1.0)), torch.tensor(angle))
    return replace(moved(motion, turn, torch.tensor((3.0, -7.0, 0.0))), name=name)


@pytest.fixture(scope="module")
def mixed(motions: list[Motion], body: Embodiment) -> MotionLibrary:
    return MotionLibrary(motions, body)


@pytest.fixture(scope="module")
def graph(mixed: MotionLibrary) -> MotionGraph:
    return motion_graph(mixed)


def test_a_clip_elsewhere_is_matched_frame_by_frame(squat: Motion, body: Embodiment) -> None:
    library = MotionLibrary([squat, elsewhere(squat, "other")], body)
    found = motion_graph(library, SimilarityCfg(threshold=0.5))
    assert found.num_edges == library.num_frames
    from_clip, from_frame = found.place(found.source)
    to_clip, to_frame = found.place(found.target)
    assert torch.equal(from_clip, 1 - to_clip)
    # the first and last frames stand still: there, neighbours are alike to single precision
    moving = (from_frame >= 5) & (from_frame <= squat.num_frames - 6)
    assert torch.equal(from_frame[moving], to_frame[moving])
    assert float(found.similarity.min()) > 0.999


def test_best_matches_agree_with_every_pair_compared(mixed: MotionLibrary, graph: MotionGraph) -> None:
    cfg = SimilarityCfg()
    table = alignment_features(mixed, cfg).double()
    distance = torch.cdist(table, table, compute_mode="donot_use_mm_for_euclid_dist").square()
    for edge in range(0, graph.num_edges, 7):
        row = int(graph.source[edge])
        clip = int(graph.place(graph.target[edge])[0])
        span = slice(int(mixed.start[clip]), int(mixed.start[clip] + mixed.length[clip]))
        least = float(distance[row, span].min())
        assert float(distance[row, graph.target[edge]]) == pytest.approx(least, abs=1e-3)
        assert float(graph.similarity[edge].log()) == pytest.approx(-least, abs=1e-3)
    assert bool((mixed.clip[graph.source] != mixed.clip[graph.target]).all())
    pairs = set(zip(graph.source.tolist(), mixed.clip[graph.target].tolist(), strict=True))
    assert len(pairs) == graph.num_edges, "one edge a frame and clip"


def test_similarity_is_the_product_of_the_parts(squat: Motion, body: Embodiment) -> None:
    lifted = moved(squat, torch.tensor((1.0, 0.0, 0.0, 0.0)), torch.tensor((0.0, 0.0, 0.1)))
    still = SimilarityCfg(rotation=0.0, lin_vel=0.0, ang_vel=0.0)
    library = MotionLibrary([squat, replace(lifted, name="lifted")], body)
    table = alignment_features(library, still)
    frames = squat.num_frames
    similarity = torch.exp(-(table[:frames] - table[frames:]).square().sum(-1))
    torch.testing.assert_close(
        similarity, torch.full((frames,), float(torch.exp(torch.tensor(-20.0 * 0.01))))
    )


def test_alike_in_both_directions(squat: Motion, library: MotionLibrary, body: Embodiment) -> None:
    swapped = motion_graph(MotionLibrary([_motion(library, 1), squat], body))
    straight = motion_graph(library)
    best = {}
    for graph in (straight, swapped):
        for clip in ("squat", "dip"):
            hops = [hop for frame in range(41) for hop in graph.edges(clip, frame)]
            best.setdefault(clip, []).append([(hop.next_frame, round(hop.similarity, 4)) for hop in hops])
    assert all(one == other for one, other in best.values())
    assert float(straight.similarity[straight.source < 101].max()) == pytest.approx(
        float(straight.similarity[straight.source >= 101].max()), abs=1e-5
    )


def _motion(library: MotionLibrary, clip: int) -> Motion:
    rows = int(library.start[clip]) + torch.arange(int(library.length[clip]))
    return Motion(
        name=library.names[clip], fps=library.fps, joint_names=library.body.joint_names,
        body_names=library.body.body_names, states=library.rows(rows),
        contact=torch.zeros(len(rows), 0, dtype=torch.bool), contact_names=(),
    )  # fmt: skip


def test_threshold_keeps_what_is_above_it(mixed: MotionLibrary, graph: MotionGraph) -> None:
    middle = float(graph.similarity.median())
    strict = motion_graph(mixed, SimilarityCfg(threshold=middle))
    keep = graph.similarity > middle
    assert 0 < strict.num_edges == int(keep.sum()) < graph.num_edges
    assert torch.equal(strict.target, graph.target[keep])


def test_chunks_change_nothing(mixed: MotionLibrary, graph: MotionGraph) -> None:
    pieces = motion_graph(mixed, cells=13 * mixed.num_frames)
    assert torch.equal(pieces.source, graph.source) and torch.equal(pieces.target, graph.target)
    torch.testing.assert_close(pieces.similarity, graph.similarity, atol=1e-4, rtol=1e-3)


def test_a_way_leads_from_clip_to_clip(graph: MotionGraph) -> None:
    way = graph.path("walk", "squat", frame=3)
    assert way
    clip, frame = "walk", 3
    for hop in way:
        assert hop.clip == clip and hop.frame >= frame, "clips are played forwards"
        assert hop in graph.edges(hop.clip, hop.frame)
        clip, frame = hop.next_clip, hop.next_frame
    assert clip == "squat"
    assert graph.path("walk", "walk") == []


def test_a_cheap_detour_beats_an_expensive_passage(graph: MotionGraph) -> None:
    # rows: a 0-2, b 3-5, c 6-8; straight from a to c is unlike, over b it is alike
    small = replace(
        graph, names=("a", "b", "c"), fps=50.0,
        start=torch.tensor([0, 3, 6]), length=torch.tensor([3, 3, 3]),
        source=torch.tensor([0, 1, 4]), target=torch.tensor([6, 3, 7]),
        similarity=torch.tensor([1e-9, 1.0, 1.0]),
    )  # fmt: skip
    assert [(h.clip, h.frame, h.next_clip, h.next_frame) for h in small.path("a", "c") or ()] == [
        ("a", 1, "b", 0), ("b", 1, "c", 1),
    ]  # fmt: skip
    direct = small.path("a", "c", cost=1e-6)
    assert direct and len(direct) == 1, "where passages cost nothing, the first one is taken"
    assert small.path("a", "c", frame=2) is None and small.path("c", "a") is None


def test_round_trip_and_foreign_libraries(
    graph: MotionGraph, mixed: MotionLibrary, library: MotionLibrary, tmp_path: Path
) -> None:
    graph.save(tmp_path / "graph.npz")
    again = MotionGraph.load(tmp_path / "graph.npz", mixed)
    assert again.names == graph.names and again.fps == graph.fps
    for key in ("source", "target", "similarity", "start", "length"):
        assert torch.equal(getattr(again, key), getattr(graph, key))
    with pytest.raises(MismatchError, match=r"graph\.npz"):
        MotionGraph.load(tmp_path / "graph.npz", library)
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError, match=r"bad\.npz"):
        MotionGraph.load(tmp_path / "bad.npz", mixed)
    replace(graph, target=graph.target + mixed.num_frames).save(tmp_path / "out.npz")
    with pytest.raises(InputError, match="leave the library"):
        MotionGraph.load(tmp_path / "out.npz", mixed)


def test_questions_that_make_no_sense_are_refused(graph: MotionGraph) -> None:
    with pytest.raises(InputError, match="'wlak'.*walk"):
        graph.path("wlak", "squat")
    with pytest.raises(InputError, match="frame 9999"):
        graph.edges("walk", 9999)
    with pytest.raises(ConfigError, match="threshold"):
        SimilarityCfg(threshold=1.0)
    with pytest.raises(ConfigError, match="position"):
        SimilarityCfg(position=-1.0)


def test_a_single_clip_has_no_passage(squat: Motion, body: Embodiment) -> None:
    assert motion_graph(MotionLibrary([squat], body)).num_edges == 0
