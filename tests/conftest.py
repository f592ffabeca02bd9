"""Prefect reads its settings when it is first imported, so the session's server is named before any test module is."""

import os
import tempfile

from deployments.demo.servers import free_port

PREFECT_PORT = free_port()
# The prefix says whose folder it is; the session's server fixture removes it.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="nightshift-test-prefect-")
os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{PREFECT_PORT}/api"
