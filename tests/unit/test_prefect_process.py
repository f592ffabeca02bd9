"""Prefect's server: garbage must never be collected by the event loop, which a lock's holder may need meanwhile."""

import subprocess
import sys

# What is freed tells which thread freed it; the main thread makes garbage until somebody has come.
STORY = """
import threading
from deployments.prefect_process import collect_beside

class Cycle:
    def __init__(self):
        self.me = self

    def __del__(self):
        freed.add(threading.current_thread().name)
        come.set()

freed, come = set(), threading.Event()
collect_beside()
while not come.is_set():
    [Cycle() for _ in range(2000)]
print(*freed)
"""


def test_garbage_is_collected_by_a_thread_of_its_own():
    told = subprocess.run([sys.executable, "-c", STORY], capture_output=True, text=True, timeout=240, check=True)
    assert told.stdout == "garbage collector\n"
