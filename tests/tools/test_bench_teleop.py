"""The measurement of teleoperation with pages that look on."""

from __future__ import annotations

import time

import pytest

viser = pytest.importorskip("viser")

from humanoid.core import ConfigError  # noqa: E402
from tools.bench_teleop import BenchTeleopCfg, IdleClient, measure  # noqa: E402


def test_an_idle_client_is_one_to_the_server_and_takes_what_it_sends() -> None:
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        client = IdleClient(f"http://127.0.0.1:{server.get_port()}")
        frame = server.scene.add_frame("/body")
        end = time.monotonic() + 20.0
        while not (server.get_clients() and client.received > 1000) and time.monotonic() < end:
            frame.position = (time.monotonic(), 0.0, 0.0)
            time.sleep(0.05)
        assert len(server.get_clients()) == 1 and client.received > 1000
        client.close()
        while server.get_clients() and time.monotonic() < end:
            time.sleep(0.05)
        assert not server.get_clients()
    finally:
        server.stop()


@pytest.mark.slow  # starts the shipped planner
def test_teleoperation_is_measured_with_a_client() -> None:
    found = measure(BenchTeleopCfg(clients=1, seconds=4.0))
    assert found["task"] == "teleop" and found["clients"] == 1
    assert len(found["kilobytes_per_second"]) == 1 and found["kilobytes_per_second"][0] > 1.0


def test_a_run_that_measures_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="clients -1"):
        BenchTeleopCfg(clients=-1)
