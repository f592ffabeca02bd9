"""prefect.yaml, written from the demo's system file: `python -m deployments.prefect_yaml`."""

from pathlib import Path
from typing import Any

import yaml

from tasks.base.system import System
from tasks.base.systems import load_system

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "prefect.yaml"
OWN_TAG = "nightshift"
HEARTBEAT_SECONDS = 30
# A dead process is known by its missing heartbeats; what tasks log belongs in the run's log.
_ENVIRONMENT = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
    "PREFECT_LOGGING_EXTRA_LOGGERS": "nightshift",
}
_HEAD = (
    "# Written from deployments/systems/demo.yaml by `python -m deployments.prefect_yaml`; a test keeps it current.\n"
)


def system_tag(name: str) -> str:
    """The tag by which deployments and runs of a system are found."""
    return f"system:{name}"


def deployment_entries(system: System) -> list[dict[str, Any]]:
    """One deployment FLOW/SYSTEM-SLUG per schedule of a system, in Prefect's own form."""
    return [
        {
            "name": f"{system.name}-{schedule.slug}",
            "entrypoint": f"flows/{schedule.flow}.py:{schedule.flow}",
            "tags": sorted([OWN_TAG, system_tag(system.name), *schedule.procedures]),
            "parameters": {"system": system.name, **schedule.parameters},
            "work_pool": {"name": system.work_pool},
            "job_variables": {"env": _ENVIRONMENT},
            "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
            "schedules": [
                {"slug": schedule.slug, "cron": schedule.cron, "timezone": schedule.timezone or system.timezone}
            ]
            if schedule.cron
            else [],
        }
        for schedule in system.schedules
    ]


def page() -> str:
    """The whole file."""
    data = {
        "name": "nightshift",
        "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $PWD }}"}}],
        "deployments": deployment_entries(load_system("demo")),
    }
    return _HEAD + yaml.dump(data, Dumper=_Plain, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    """Writes what several deployments share out in full, as a person would."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the parent's
        return True


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
