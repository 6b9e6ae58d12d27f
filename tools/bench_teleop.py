"""Control rate of teleoperation with idle clients connected, without the load of a browser.

    python tools/bench_teleop.py [--clients 1] [--seconds 60] [--json]

Starts ``humanoid teleop``, connects clients that receive every message and draw nothing, and prints
missed control steps, planning times and the data sent to each client. The command stays at its
initial value; ``humanoid teleop --headless`` measures steering.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

import msgspec
import tyro
import viser
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from humanoid.core.errors import ConfigError, HumanoidError

ADDRESS = re.compile(r"open (http://[\w.]+:\d+)")
"""Address in the output of teleoperation."""

CAMERA = {
    "type": "ViewerCameraMessage",
    "wxyz": (1.0, 0.0, 0.0, 0.0),
    "position": (3.0, 0.0, 1.0),
    "fov": 1.0,
    "near": 0.1,
    "far": 100.0,
    "image_height": 600,
    "image_width": 800,
    "look_at": (0.0, 0.0, 1.0),
    "up_direction": (0.0, 0.0, 1.0),
}
"""Where the page looks from: who has not said so does not count as a client of viser's."""


@dataclass(frozen=True, kw_only=True)
class BenchTeleopCfg:
    """Configuration of the benchmark."""

    clients: int = 1
    """Pages that look on; the first one may steer and does not."""
    seconds: float = 60.0
    """For how long [s]."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Refuse what measures nothing."""
        if self.clients < 0 or not self.seconds > 0.0:
            raise ConfigError(f"clients {self.clients}, seconds {self.seconds:g}: 0 or more, and more than 0")


class IdleClient:
    """A page without a picture: takes what a viser server sends until that ends."""

    def __init__(self, address: str) -> None:
        """Connect to ``http://HOST:PORT``; what comes is taken by a thread."""
        self.received = 0
        """Bytes so far."""
        protocol = Subprotocol(f"viser-v{viser.__version__}")
        self._socket = connect(address.replace("http", "ws", 1), subprotocols=[protocol], max_size=None)
        self.send(**CAMERA)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def send(self, **message: Any) -> None:  # noqa: ANN401 - any value that viser packs
        """Send a message of viser's."""
        self._socket.send(msgspec.msgpack.encode(message))

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()
        self._thread.join(timeout=5.0)

    def _listen(self) -> None:
        try:
            for packet in self._socket:
                assert isinstance(packet, bytes)
                self.received += len(packet)
                self.take(packet)
        except ConnectionClosed:
            pass

    def take(self, packet: bytes) -> None:
        """Do with a packet what this client does: nothing."""


def measure(cfg: BenchTeleopCfg) -> dict[str, Any]:
    """Return the figures of one run, ``clients`` and ``kilobytes_per_second`` of each among them.

    Raises:
        HumanoidError: teleoperation did not run.
    """
    words = ["teleop", "--port", "8080", "--seconds", f"{cfg.seconds:g}", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "humanoid", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        said: list[str] = []
        clients: list[IdleClient] = []
        for line in process.stderr:
            said.append(line.rstrip())
            if (found := ADDRESS.search(line)) is not None:
                clients = [IdleClient(found[1]) for _ in range(cfg.clients)]
        figures = process.stdout.read()
        for client in clients:
            client.close()
    if process.returncode:
        raise HumanoidError(f"humanoid {' '.join(words)} ended with {process.returncode}: {said[-1:]}")
    rates = [round(client.received / 1000 / cfg.seconds, 1) for client in clients]
    return {**json.loads(figures), "clients": len(clients), "kilobytes_per_second": rates}


def main(cfg: BenchTeleopCfg) -> int:
    """Measure and print."""
    try:
        found = measure(cfg)
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found) if cfg.json else "\n".join(f"{name:22} {v}" for name, v in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(BenchTeleopCfg)))
