"""Prefect reads its settings when it is first imported, so the session's server is named before any test module is."""

import atexit
import os
import shutil
import tempfile

from deployments.demo.servers import free_port

PREFECT_PORT = free_port()
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="nightshift-test-prefect-")
atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)
os.environ["PREFECT_LOGGING_EXTRA_LOGGERS"] = "nightshift"
os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{PREFECT_PORT}/api"
os.environ["XDG_CACHE_HOME"] = f"{os.environ['PREFECT_HOME']}/cache"  # where `nightshift run` keeps things
