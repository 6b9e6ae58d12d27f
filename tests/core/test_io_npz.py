"""npz files: read as numpy does, refused before memory is taken."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from humanoid.core import InputError
from humanoid.core.io import npz_names, read_npz


def npy_bytes(shape: str, descr: str = "<f8", content: bytes = b"") -> bytes:
    """Return an npy whose header claims what it likes."""
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    head = head.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + content


def _zip(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_as_numpy_reads_it(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.npz"
    arrays = {
        "a": np.random.default_rng(0).normal(size=(5, 3)), "f": np.asfortranarray(np.ones((2, 3), "f4")),
        "scalar": np.array(120.0), "text": np.array("male"), "none": np.zeros((0, 4)),
        "big": np.arange(3, dtype=">i4"),
    }  # fmt: skip
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    assert set(npz_names(path)) == set(arrays)
    read = read_npz(path, [*arrays, "absent"])
    assert set(read) == set(arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(read[key], array)
        assert read[key].shape == array.shape


def test_objects_are_refused_unless_nobody_asks(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros(3), b=np.array([{}], dtype=object))
    assert set(read_npz(path, ["a"])) == {"a"}
    with pytest.raises(InputError, match="b: "):
        read_npz(path, ["b"])


@pytest.mark.parametrize(
    "content",
    [
        npy_bytes("(1000000000, 165)"),
        npy_bytes("(1000000000000000000, 1000000000000000000)"),
        npy_bytes("(0, 1000000000000000000)"),
        npy_bytes("(-1, -8)", content=bytes(64)),
        npy_bytes("(8,)", content=bytes(63)),
        npy_bytes("(8,)", descr="|V8000000000"),
        npy_bytes("('a',)"),
        npy_bytes("__import__('os')"),
        b"\x93NUMPY\x09\x00" + bytes(100),
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{",
        b"no npy at all",
        b"",
    ],
)
def test_headers_are_not_believed(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"a\.npz: a: ") as caught:
        read_npz(_zip(tmp_path / "a.npz", content), ["a"])
    assert "\n" not in str(caught.value)


def test_zip_bomb(tmp_path: Path) -> None:
    bomb = npy_bytes("(4000000,)", content=bytes(32_000_000))
    with pytest.raises(InputError, match="bomb"):
        read_npz(_zip(tmp_path / "a.npz", bomb), ["a"])


def test_other_packings_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4))
    with pytest.raises(InputError, match="method"):
        read_npz(_zip(tmp_path / "a.npz", buffer.getvalue(), zipfile.ZIP_BZIP2), ["a"])


@pytest.mark.parametrize("cut", [0, 10, 200, -3])
def test_truncated(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(100.0))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="npz"):
        read_npz(path, ["a"])


def test_flipped_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(100.0))
    data = bytearray(path.read_bytes())
    data[500] ^= 255
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_npz(path, ["a"])
