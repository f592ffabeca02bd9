"""What the package manager of this host would update, as data: apt's and dnf's own words, parsed."""

import re
import shlex
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from tasks.base.errors import ToolFailedError
from tasks.base.findings import Severity
from tasks.base.programs import Program, output_of
from tasks.base.security_check import UpdatePolicy
from tasks.base.words import Frozen

# Words that are parsed must be those of the C locale.
_ENVIRONMENT: dict[str, str | None] = {"LC_ALL": "C.UTF-8", "LANGUAGE": None, "DEBIAN_FRONTEND": "noninteractive"}
# NAME/ARCHIVE,ARCHIVE NEW ARCHITECTURE [upgradable from: OLD]
_UPGRADABLE = re.compile(r"^(?P<name>[^/\s]+)/(?P<archives>\S+) (?P<new>\S+) \S+ \[upgradable from: (?P<old>[^\]]+)\]$")
# Of apt-cache policy: NAME:, then its versions with the newest first and the installed one starred, each with the
# archives that have it: PRIORITY URL ARCHIVE/COMPONENT ARCHITECTURE Packages.
_PACKAGE, _VERSION = re.compile(r"^(\S+):$"), re.compile(r"^ (?P<star>\*\*\*|   ) \S+ -?\d+$")
_ARCHIVE = re.compile(r"^ +-?\d+ \S+ (?P<archive>[^/\s]+)/\S+ \S+ Packages$")
# ADVISORY SEVERITY/Sec. PACKAGE of dnf 4, ADVISORY security SEVERITY PACKAGE … of dnf 5.
_ADVISORY = re.compile(
    r"^(?P<advisory>\S+)\s+(?:security\s+)?(?P<severity>Critical|Important|Moderate|Low|None|Unknown)(?:/Sec\.)?\s+"
    r"(?P<package>\S+)-(?P<version>[^-\s]+-[^-\s]+)\.(?P<architecture>[^.\s]+)(?:\s|$)"
)
_SEVERITIES = {
    "Critical": Severity.CRITICAL,
    "Important": Severity.HIGH,
    "Moderate": Severity.MEDIUM,
    "Low": Severity.LOW,
}


class Update(Frozen):
    """A newer version of an installed package."""

    package: str
    installed: str = ""
    candidate: str
    is_security: bool
    severity: Severity = Severity.UNKNOWN
    advisory: str = ""


class Pending(Frozen):
    """All updates that the package manager knows of."""

    program: str
    updates: tuple[Update, ...]
    lists_at: datetime | None = None  # None: the program fetches its lists itself when they are old


def has_apt() -> bool:
    """True where apt manages the packages."""
    return shutil.which("apt") is not None and shutil.which("apt-config") is not None


def has_dnf() -> bool:
    """True where dnf does."""
    return shutil.which("dnf") is not None


def apt_pending(policy: UpdatePolicy) -> Pending:
    """What apt would update, with the time of its lists. Raises ToolFailedError for words that are not apt's."""
    said = _ask(policy, "apt", "list", "--upgradable")
    updates = []
    for line in said.splitlines():
        found = _UPGRADABLE.match(line.strip())
        if found:
            security = any(_is_security(policy, one) for one in found["archives"].split(","))
            updates.append(
                Update(package=found["name"], installed=found["old"], candidate=found["new"], is_security=security)
            )
        elif line.strip() and not line.startswith("Listing"):
            raise ToolFailedError(f"apt list --upgradable says '{line[:100]}', which is no package; look at it by hand")
    passed_over = _passed_over(policy, [one.package for one in updates if not one.is_security])
    told = {"is_security": True, "severity": policy.severity}
    pending = [one.model_copy(update=told) if one.is_security or one.package in passed_over else one for one in updates]
    return Pending(program="apt", updates=tuple(pending), lists_at=_lists_at(policy))


def _passed_over(policy: UpdatePolicy, packages: list[str]) -> set[str]:
    """Those of which a security archive has a newer version than the installed one, that apt does not choose.

    apt tells the archives of its choice alone: a later update of the distribution would hide that of its security team.
    """
    found: set[str] = set()
    package, is_newer = "", False
    for line in _ask(policy, "apt-cache", "policy", *packages).splitlines() if packages else ():
        if named := _PACKAGE.match(line):
            package, is_newer = named[1].partition(":")[0], True
        elif version := _VERSION.match(line):
            is_newer &= not version["star"].strip()
        elif is_newer and (source := _ARCHIVE.match(line)) and _is_security(policy, source["archive"]):
            found.add(package)
    return found


def _is_security(policy: UpdatePolicy, archive: str) -> bool:
    return any(fnmatchcase(archive, pattern) for pattern in policy.origins)


def dnf_pending(policy: UpdatePolicy) -> Pending:
    """The advisories that dnf has for installed packages, the worst one of each package."""
    worst: dict[str, Update] = {}
    for one in _advisories(_ask(policy, "dnf", "--quiet", "updateinfo", "list", "--security", "--updates"), policy):
        known = worst.get(one.package)
        if known is None or one.severity.rank < known.severity.rank:
            worst[one.package] = one
    return Pending(program="dnf", updates=tuple(worst.values()))


def _advisories(said: str, policy: UpdatePolicy) -> Iterator[Update]:
    for line in said.splitlines():
        found = _ADVISORY.match(line.strip())
        if found:
            yield Update(
                package=found["package"],
                candidate=found["version"],
                is_security=True,
                severity=_SEVERITIES.get(found["severity"], policy.severity),
                advisory=found["advisory"],
            )
        elif line.strip() and not line.startswith(("Name ", "Last metadata", "Updating", "Repositories")):
            raise ToolFailedError(f"dnf updateinfo says '{line[:100]}', which is no advisory; look at it by hand")


def _lists_at(policy: UpdatePolicy) -> datetime | None:
    """When apt's lists were last fetched; the epoch when never.

    The lists bear the times of the archive. What moves when they are fetched, also when nothing is new, and stays when
    no archive answers, is the folder of unfinished ones (seen with apt 2.6), and the stamp of the timer's scripts.
    """
    said = _ask(policy, "apt-config", "shell", "LISTS", "Dir::State::lists/d", "STATE", "Dir::State/d")
    folders = dict(part.split("=", 1) for part in shlex.split(said))
    lists = Path(folders.get("LISTS", "/var/lib/apt/lists"))
    fetched = [*lists.glob("*InRelease"), *lists.glob("*_Release")]
    if not fetched:
        return datetime.fromtimestamp(0, UTC)
    stamps = [lists / "partial", Path(folders.get("STATE", "/var/lib/apt")) / "periodic" / "update-success-stamp"]
    times = [place.stat().st_mtime for place in (*fetched, *stamps) if place.exists()]
    return datetime.fromtimestamp(max(times), UTC)


def _ask(policy: UpdatePolicy, name: str, *arguments: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ToolFailedError(f"{name} is no longer on PATH")
    program = Program(arguments=(path, *arguments), environment=_ENVIRONMENT, deadline_seconds=policy.deadline_seconds)
    return output_of(program)
