"""Docker Compose: a wrapper program answers with recorded shapes; sums by service, limits only where there are some."""

import json
import sys

import pytest

from tasks.base.capacity import ComposeProject
from tasks.base.errors import MissingError, ToolFailedError
from tasks.platform.compose import in_bytes, sample_compose

HOST = 8_000_000_000
PS = [
    {"ID": "1111111111112222", "Name": "shop-web-1", "Service": "web", "State": "running"},
    {"ID": "2222222222223333", "Name": "shop-web-2", "Service": "web", "State": "running"},
    {"ID": "3333333333334444", "Name": "shop-db-1", "Service": "db", "State": "running"},
]
STATS = [
    {"ID": "111111111111", "CPUPerc": "12.50%", "MemUsage": "100MiB / 512MiB", "PIDs": "8"},
    {"ID": "222222222222", "CPUPerc": "0.00%", "MemUsage": "50.5MiB / 512MiB", "PIDs": "8"},
    {"ID": "333333333333", "CPUPerc": "150.00%", "MemUsage": "1.5GiB / 7.45GiB", "PIDs": "80"},
]


@pytest.fixture
def sample(tmp_path):
    """Sample a project whose docker is a program that answers with these shapes."""

    def run(ps=PS, stats=STATS, as_list=False, fault="", **changes):
        shown = [json.dumps(ps)] if as_list else [json.dumps(one) for one in ps]
        answers = {"compose config": "db\nweb\ncache", "compose ps": "\n".join(shown), "info --format": str(HOST)}
        docker = tmp_path / "docker"
        docker.write_text(
            f"#!{sys.executable}\nimport sys, time\n{fault}\nanswers = {answers!r}\n"
            f"stats = {[json.dumps(one) for one in stats]!r}\n"
            "asked = ' '.join(sys.argv[1:3])\n"
            "if sys.argv[1] == 'stats':\n"
            "    print('\\n'.join(one for one in stats if any(id[:12] in one for id in sys.argv)))\n"
            "else:\n    print(answers[asked])\n"
        )
        docker.chmod(0o755)
        found = sample_compose(ComposeProject(**{"name": "shop", "folder": tmp_path, "program": docker} | changes))
        return {(one.kind, one.resource): (one.used, one.capacity) for one in found.samples}

    return run


@pytest.mark.parametrize("as_list", [False, True])
def test_the_containers_of_a_service_are_one_and_a_limit_is_one_that_was_set(sample, as_list):
    assert sample(as_list=as_list) == {
        ("service containers", "shop/cache"): (0, None),
        ("service cpu", "shop/cache"): (0, None),
        ("service memory", "shop/cache"): (0, None),
        ("service containers", "shop/db"): (1, None),
        ("service cpu", "shop/db"): (1.5, None),
        ("service memory", "shop/db"): (1.5 * 2**30, None),
        ("service containers", "shop/web"): (2, None),
        ("service cpu", "shop/web"): (0.125, None),
        ("service memory", "shop/web"): (150.5 * 2**20, 1024 * 2**20),
    }


def test_a_project_of_which_nothing_runs_is_zero_and_no_gap(sample):
    assert set(sample(ps=[], stats=[]).values()) == {(0, None)}


def test_docker_that_says_no_hangs_or_speaks_otherwise_is_one_sentence(sample, tmp_path, monkeypatch):
    with pytest.raises(ToolFailedError, match="permission denied while trying"):
        sample(fault="sys.exit('permission denied while trying to connect')")
    with pytest.raises(ToolFailedError, match="docker"):
        sample(fault="time.sleep(30)", deadline_seconds=0.5)
    with pytest.raises(ToolFailedError, match="printed no Service"):
        sample(ps=[{"ID": "1"}])
    with pytest.raises(ToolFailedError, match="'--' where a number is expected"):
        sample(stats=[{**STATS[0], "MemUsage": "-- / --"}])
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(MissingError, match="no docker program on PATH"):
        sample_compose(ComposeProject(name="shop", folder=tmp_path))


def test_sizes_are_read_as_docker_prints_them():
    assert [in_bytes(text) for text in ("0B", "3.2kB", "12.5MiB", " 1.2e+03MB ", "8000")] == [
        0, 3200, 12.5 * 2**20, 1.2e9, 8000,
    ]  # fmt: skip
