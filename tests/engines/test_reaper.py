"""No child outlives a parent that is killed with -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synthkit.engines.reaper import Reaper, deaf_to_interrupts

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

PARENT = """
import subprocess, sys, time
from synthkit.engines.reaper import Reaper
outside = subprocess.Popen(["sleep", "60"])
reaper = Reaper()
with reaper:
    child = subprocess.Popen(["sh", "-c", "sleep 60 & wait"])
    time.sleep(0.5)
print(outside.pid, child.pid, flush=True)
time.sleep(60)
"""

FORKING = """
import os, signal, sys, time
from synthkit.engines.reaper import Reaper
reaper = Reaper()
with reaper:
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        os._exit(0)
began = time.monotonic()
reaper.close()
print(time.monotonic() - began, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in listed.stdout.split()]


def gone(pids: list[int], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_children_die_with_a_killed_parent_and_others_do_not() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        outside, child = (int(word) for word in parent.stdout.readline().split())
        wards = [child, *children(child)]
        assert len(wards) == 2
        parent.send_signal(signal.SIGKILL)
    assert gone(wards)
    assert alive(outside), "a child born before the watch is none of its business"
    os.kill(outside, signal.SIGKILL)


def test_close_kills_what_is_left_and_can_be_repeated() -> None:
    reaper = Reaper()
    with reaper:
        child = subprocess.Popen(["sleep", "60"])
    reaper.close()
    reaper.close()
    assert child.wait(5) == -signal.SIGKILL


def test_close_does_not_wait_for_a_forked_child_that_holds_the_pipe_and_ignores_sigterm() -> None:
    ran = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True, timeout=30)
    seconds, status = ran.stdout.split()
    assert int(status) == -signal.SIGKILL
    assert float(seconds) < 5


def test_kill_ends_the_children_so_far_and_goes_on_watching() -> None:
    reaper = Reaper()
    with reaper:
        first = subprocess.Popen(["sleep", "60"])
        time.sleep(0.3)  # the look-out comes by ten times a second
        reaper.kill()
        assert first.wait(5) == -signal.SIGKILL
        second = subprocess.Popen(["sleep", "60"])
    reaper.close()
    assert second.wait(5) == -signal.SIGKILL


def test_the_resource_tracker_is_spared() -> None:
    from multiprocessing import resource_tracker

    reaper = Reaper()
    with reaper:
        resource_tracker.ensure_running()
    reaper.close()
    tracker = resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]
    assert alive(tracker)


def test_children_that_ended_are_no_matter() -> None:
    reaper = Reaper()
    with reaper:
        assert subprocess.run(["true"], check=False).returncode == 0
    reaper.close()


def test_a_child_does_not_hear_an_interrupt() -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGINT, lambda *_: exit(3)); print('up', flush=True); time.sleep(60)"
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with deaf_to_interrupts():
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
        child.terminate()
    assert child.returncode == -signal.SIGTERM
