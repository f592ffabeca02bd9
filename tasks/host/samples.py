"""What the host that runs the flow has left: file systems, memory, processors, network."""

import os
import socket
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import psutil

from tasks.base.capacity import HostSampling
from tasks.base.clock import stopwatch
from tasks.base.errors import IncompleteError
from tasks.base.samples import Sample, Sampled, sampled
from tasks.base.words import CheckResult, Verdict
from tasks.host.directories import directory_bytes, matching

_DAY_SECONDS = 86400
# Mounted images: always full, and meant to be.
_IMAGES = {"squashfs", "iso9660", "erofs", "udf"}


def sample_host(policy: HostSampling) -> Sampled:
    """One sample for each thing of this host; what cannot be read is SKIP, and the rest is there."""
    host = socket.gethostname()
    samples: list[Sample] = []
    checks: list[CheckResult] = []
    for mount in mount_points(policy):
        try:
            samples += _filesystem(host, mount)
        except OSError as error:
            checks.append(_skip("filesystem", f"{host}:{mount}", f"{error.strerror}; look at this mount"))
    if policy.processor:
        samples += _processor(host)
    samples += _network(host, policy)
    found, missing = _directories(host, policy)
    return sampled(host, [*samples, *found], [*checks, *missing])


def mount_points(policy: HostSampling) -> list[str]:
    """Where file systems that lie on disks are mounted, each file system once, under its shortest name."""
    wanted = [
        part.mountpoint
        for part in psutil.disk_partitions(all=False)
        if part.fstype not in _IMAGES and _fits(part.mountpoint, policy.filesystems)
    ]
    # In a container the root is an overlay, which counts as no disk, and is what fills up.
    wanted += ["/"] if _fits("/", policy.filesystems) else []
    devices: dict[int, str] = {}
    for mount in sorted(wanted, key=lambda path: (len(path), path)):
        try:
            devices.setdefault(Path(mount).stat().st_dev, mount)
        except OSError:
            devices.setdefault(-len(devices) - 1, mount)  # it is asked again, and reported
    return sorted(devices.values())


def _filesystem(host: str, mount: str) -> Iterator[Sample]:
    """Bytes and inodes, as df counts: what is kept for root is no capacity."""
    found = os.statvfs(mount)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    resource = f"{host}:{mount}"
    yield Sample(
        kind="filesystem", resource=resource, unit="bytes", used=used, capacity=used + found.f_bavail * found.f_frsize
    )
    if found.f_files:  # btrfs and others make inodes as they are needed
        inodes = found.f_files - found.f_ffree
        yield Sample(
            kind="filesystem inodes",
            resource=resource,
            unit="count",
            used=inodes,
            capacity=inodes + found.f_favail,
        )


def _processor(host: str) -> Iterator[Sample]:
    memory, swap, times = psutil.virtual_memory(), psutil.swap_memory(), psutil.cpu_times()
    used = memory.total - memory.available
    yield Sample(kind="memory", resource=host, unit="bytes", used=used, capacity=memory.total)
    if swap.total:
        yield Sample(kind="swap", resource=host, unit="bytes", used=swap.used, capacity=swap.total)
    # guest time is counted in user time already
    busy = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))
    seconds = (psutil.cpu_count() or 1) * _DAY_SECONDS
    yield Sample(kind="cpu total", resource=host, unit="seconds", used=busy, capacity=seconds)


def _network(host: str, policy: HostSampling) -> Iterator[Sample]:
    speeds = psutil.net_if_stats()
    for name, moved in sorted(psutil.net_io_counters(pernic=True).items()):
        if name == "lo" or not _fits(name, policy.interfaces):
            continue
        speed = speeds[name].speed if name in speeds else 0  # megabits a second; 0: not known
        capacity = speed * 1e6 / 8 * _DAY_SECONDS if speed > 0 else None
        for kind, value in (("network received total", moved.bytes_recv), ("network sent total", moved.bytes_sent)):
            yield Sample(kind=kind, resource=f"{host}:{name}", unit="bytes", used=value, capacity=capacity)


def _directories(host: str, policy: HostSampling) -> tuple[list[Sample], list[CheckResult]]:
    samples, checks, elapsed = [], [], stopwatch()
    for pattern in policy.directories:
        found = matching(pattern)
        if not found:
            checks.append(_skip("directory", f"{host}:{pattern}", "no directory matches; correct it, or make one"))
        for path in found:
            try:
                used = directory_bytes(path, policy.directories_deadline_seconds - elapsed())
                samples.append(Sample(kind="directory", resource=f"{host}:{path}", unit="bytes", used=used))
            except IncompleteError as error:
                checks.append(_skip("directory", f"{host}:{path}", str(error)))
    return samples, checks


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _skip(name: str, target: str, message: str) -> CheckResult:
    return CheckResult(name=name, target=target, verdict=Verdict.SKIP, message=message)
