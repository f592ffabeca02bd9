"""The real parts of tests/real, for tests that take minutes; the random seed is printed, to repeat a failure."""

import os
import random

import pytest

from tests.real.conftest import identity, moto, postgres, prefect_url, rclone, s3_credentials, shop, system

__all__ = ["identity", "moto", "postgres", "prefect_url", "rclone", "s3_credentials", "shop", "system"]
SEED = int(os.environ.get("NIGHTSHIFT_SOAK_SEED") or random.randrange(10**6))


def pytest_report_header():
    return f"seed {SEED}; NIGHTSHIFT_SOAK_SEED={SEED} repeats the same moments"


@pytest.fixture
def chance(request):
    """Random numbers of this test alone, the same for the same seed whichever tests run beside it."""
    return random.Random(f"{SEED} {request.node.name}")
