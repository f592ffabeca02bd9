"""prefect.yaml, written from the demo's system file: `python -m deployments.prefect_yaml`."""

from pathlib import Path
from typing import Any

import yaml

from tasks.base.system import System
from tasks.base.systems import load_system

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "prefect.yaml"
_HEAD = (
    "# Written from deployments/systems/demo.yaml by `python -m deployments.prefect_yaml`; a test keeps it current.\n"
)


def deployment_entries(system: System) -> list[dict[str, Any]]:
    """One deployment FLOW/SYSTEM-SLUG per schedule of a system, in Prefect's own form."""
    return [
        {
            "name": f"{system.name}-{schedule.slug}",
            "entrypoint": f"flows/{schedule.flow}.py:{schedule.flow}",
            "tags": [f"system:{system.name}", *schedule.procedures],
            "parameters": {"system": system.name, **schedule.parameters},
            "work_pool": {"name": system.work_pool},
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
    return _HEAD + yaml.safe_dump(data, sort_keys=False, width=120)


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
