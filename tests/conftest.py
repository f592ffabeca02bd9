"""Each process that runs tests has its own Prefect and its own temporary folder, named before anything is imported.

Prefect reads its settings when it is first imported. And runs look through the temporary folder for what dead runs
left, so two processes in one folder would tidy up each other's.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from deployments.demo.servers import free_port
from tasks.base import stopping

# Where pytest keeps what the last failed tests wrote; it outlives the run.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
# A worker of pytest-xdist gets a folder in that of the process that started it; short, for the sockets in it.
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
FOLDER = Path(tempfile.mkdtemp(prefix="" if IS_WORKER else "nightshift-test-"))
FOLDER.chmod(0o755)  # root's PostgreSQL runs as somebody else
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
os.environ["TMPDIR"] = tempfile.tempdir = str(FOLDER)

PREFECT_PORT = free_port()
os.environ["PREFECT_HOME"] = str(FOLDER / "prefect")
os.environ["PREFECT_LOGGING_EXTRA_LOGGERS"] = "nightshift"
os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{PREFECT_PORT}/api"
# Where `nightshift run` keeps what is the same for all.
os.environ["XDG_CACHE_HOME"] = str((FOLDER.parent if IS_WORKER else FOLDER) / "cache")
(FOLDER / "prefect").mkdir(mode=0o700)

# How long an example takes is a matter of the machine. And what passed once passes again: the same examples every time;
# others are looked for by hand, with --hypothesis-profile=search and, when wanted, --hypothesis-seed.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("nightshift", derandomize=True, **_PATIENT)
settings.register_profile("search", max_examples=1000, **_PATIENT)
settings.load_profile("nightshift")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """A flow or a test that was stopped leaves a stop behind it, which is not the next test's."""
    stopping.reset()
