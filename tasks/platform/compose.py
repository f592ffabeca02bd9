"""What the services of a Docker Compose project use, as `docker stats` says."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from tasks.base.capacity import ComposeProject
from tasks.base.errors import MissingError, ToolFailedError
from tasks.base.programs import Program, output_of
from tasks.base.samples import Sample, Sampled, sampled

Json = dict[str, Any]
_BYTES = re.compile(r"^\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([kKMGTP]?)(i?)B?\s*$")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
# What docker prints is rounded to four digits.
_UNLIMITED_SHARE = 0.999


class Container(NamedTuple):
    """One running container: cores, bytes, and its limit where it has one."""

    service: str
    cpu: float
    memory_bytes: float
    limit_bytes: float | None


def sample_compose(project: ComposeProject) -> Sampled:
    """Containers, processor and memory of each service, its containers together.

    Raises MissingError (no docker program), ToolFailedError (docker said no, or not in time).
    """
    services: dict[str, list[Container]] = defaultdict(list)
    for name in _text(project, "compose", "config", "--services").split():
        services[name] = []  # one of which nothing runs is zero, and no gap
    for container in _containers(project):
        services[container.service].append(container)
    return sampled(project.name, [one for name in sorted(services) for one in _samples(project, name, services[name])])


def _samples(project: ComposeProject, service: str, containers: list[Container]) -> Iterator[Sample]:
    name = f"{project.name}/{service}"
    limits = [one.limit_bytes for one in containers if one.limit_bytes is not None]
    capacity = sum(limits) if limits and len(limits) == len(containers) else None
    memory = sum(one.memory_bytes for one in containers)
    yield Sample(kind="service containers", resource=name, unit="count", used=len(containers))
    yield Sample(kind="service cpu", resource=name, unit="cores", used=sum(one.cpu for one in containers))
    yield Sample(kind="service memory", resource=name, unit="bytes", used=memory, capacity=capacity)


def _containers(project: ComposeProject) -> Iterator[Container]:
    """The running containers with what they use."""
    services = {_field(one, "ID")[:12]: _field(one, "Service") for one in _objects(project, "compose", "ps")}
    if not services:
        return
    host_bytes = in_bytes(_text(project, "info", "--format", "{{.MemTotal}}"))
    for one in _objects(project, "stats", "--no-stream", *sorted(services)):
        used, _, limit = _field(one, "MemUsage").partition("/")
        limit_bytes = in_bytes(limit)
        yield Container(
            service=services[_field(one, "ID")[:12]],
            cpu=in_bytes(_field(one, "CPUPerc").removesuffix("%")) / 100,
            memory_bytes=in_bytes(used),
            # Without a limit docker shows the memory of the host.
            limit_bytes=limit_bytes if 0 < limit_bytes < host_bytes * _UNLIMITED_SHARE else None,
        )


def in_bytes(text: str) -> float:
    """A size as docker prints it, e.g. 12.5MiB, 3.2kB or a bare number. Raises ToolFailedError."""
    found = _BYTES.match(text)
    if not found:
        raise ToolFailedError(f"docker printed '{text.strip()}' where a number is expected; use Docker Compose 2")
    number, prefix, binary = found.groups()
    return float(number) * float((1024 if binary else 1000) ** _POWERS[prefix.upper()])


def _objects(project: ComposeProject, *arguments: str) -> list[Json]:
    """What docker prints with `--format json`: one object a line, or one list (Compose before 2.21)."""
    text = _text(project, *arguments, "--format", "json")
    try:
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        return [one for line in lines for one in (line if isinstance(line, list) else [line])]
    except ValueError:
        raise ToolFailedError(f"docker {arguments[0]} printed no JSON; use Docker Compose 2") from None


def _text(project: ComposeProject, *arguments: str) -> str:
    found = project.program or shutil.which("docker")
    if found is None:
        raise MissingError(
            f"no docker program on PATH for the project '{project.name}'; install it here, or set program"
        )
    program = Program(arguments=(str(found), *arguments), deadline_seconds=project.deadline_seconds, cwd=project.folder)
    return output_of(program).strip()


def _field(one: Json, name: str) -> str:
    if name not in one:
        raise ToolFailedError(f"docker printed no {name}; use Docker Compose 2")
    return str(one[name])
