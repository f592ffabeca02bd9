"""The real parts of tests/real, for tests that take minutes; the random seed is printed, to repeat a failure."""

import os
import random
from pathlib import Path

import pytest
import yaml

from tests.real.conftest import identity, moto, postgres, prefect_url, rclone, s3_credentials, shop, system

__all__ = ["identity", "moto", "postgres", "prefect_url", "rclone", "s3_credentials", "shop", "system"]
SEED = int(os.environ.get("NIGHTSHIFT_SOAK_SEED") or random.randrange(10**6))


def pytest_report_header():
    return f"seed {SEED}; NIGHTSHIFT_SOAK_SEED={SEED} repeats the same moments"


@pytest.fixture
def chance(request):
    """Random numbers of this test alone, the same for the same seed whichever tests run beside it."""
    return random.Random(f"{SEED} {request.node.name}")


def change_system(**sections: dict[str, object]) -> None:
    """Set keys in sections of the test's system file."""
    path = Path(os.environ["NIGHTSHIFT_SYSTEMS"], "acme.yaml")
    system = yaml.safe_load(path.read_text())
    for section, values in sections.items():
        system[section] = system.get(section, {}) | values
    path.write_text(yaml.safe_dump(system))
