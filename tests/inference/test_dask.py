"""``segment_folder`` on a Dask cluster: workers and schedulers that die lose nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from helpers.folders import draw
from helpers.networks import make_network

import unet_helpers as uh
from unet_helpers.shell.app import main

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def work(tmp_path):
    """A folder of forty images and the file of a network that takes a moment for each."""
    for seed in range(40):
        draw(tmp_path / f"in/{seed:02}.png", seed, shape=(300, 300))
    network = make_network(features=16, depth=3)
    # It finds nothing: thousands of objects in noise would take long to measure.
    network.conv.bias.data -= 100
    uh.save_model(network, tmp_path / "small.safetensors")
    return tmp_path / "in", tmp_path / "small.safetensors", tmp_path / "out"


@pytest.fixture
def cluster(tmp_path):
    """The address of a scheduler and its process, and those of two workers, as on a cluster."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    file = tmp_path / "scheduler.json"

    def start(name, *more):
        command = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--no-dashboard"]
        return subprocess.Popen(
            [*command, "--scheduler-file", str(file), *more],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    processes = [start("scheduler", "--host", "127.0.0.1", "--port", "0")]
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    processes += [start("worker", "--nthreads", "1", "--no-nanny") for _ in range(2)]
    address = json.loads(file.read_text())["address"]
    with distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
    yield address, processes
    for process in processes:
        process.kill()
        process.wait()


def kill_when(out, count: int, process) -> threading.Thread:
    """Kill a process, without a warning to it, once so many results are there."""

    def wait():
        while len(list(out.glob("*.json"))) < count:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def done(out) -> dict:
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*.json")}


def test_a_worker_that_is_killed_loses_nothing(work, cluster):
    source, network, out = work
    address, (_, first, _) = cluster
    killer = kill_when(out, 5, first)
    with distributed.Client(address) as client:
        table = uh.segment_folder(source, network, out, client.get_executor(), progress=False)
    killer.join(5)
    assert first.wait(5) == -signal.SIGKILL
    assert len(table) == 40
    assert table.status.isin(["saved", "done before"]).all()
    assert table.input.is_unique
    assert len(done(out)) == 40
    assert len(list(out.glob("*_labels.png"))) == 40


def test_a_scheduler_that_is_killed_is_told_and_the_rest_is_done_later(work, cluster, capsys):
    source, network, out = work
    address, (scheduler, *_) = cluster
    kill_when(out, 5, scheduler)
    arguments = [str(source), "--model", str(network), "--out", str(out)]
    started = time.monotonic()
    assert main([*arguments, "--scheduler", address]) == 2
    assert time.monotonic() - started < 150
    said = capsys.readouterr().err
    assert "The executor stopped" in said
    assert "Traceback" not in said.split("error: ")[-1]
    kept = done(out)
    assert 5 <= len(kept) < 40
    assert main(arguments) == 0  # here, without a cluster
    finished = done(out)
    assert len(finished) == 40
    assert {name: finished[name] for name in kept} == kept
