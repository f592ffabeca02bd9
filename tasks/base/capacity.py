"""What is sampled every day, and what the figures are held against: the `capacity` part of a system file."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Protocol, Self, TypeVar

from pydantic import Field, model_validator

from tasks.base.words import Frozen

Percent = Annotated[float, Field(gt=0, le=100)]
Pattern = Annotated[str, Field(min_length=1)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$")]


class _Selects(Protocol):
    """What applies to the resources that two patterns fit."""

    @property
    def kind(self) -> str: ...
    @property
    def resource(self) -> str: ...


Selecting = TypeVar("Selecting", bound=_Selects)


class CapacityThreshold(Frozen):
    """When a kind of resource counts as full."""

    kind: Pattern = Field(description="Kind of sample, wildcards allowed, e.g. filesystem")
    resource: Pattern = Field(default="*", description="Name of the resource, wildcards allowed")
    percent: Percent = Field(description="Full at this share of the capacity, in percent")
    floor: float = Field(
        default=0, ge=0, description="Nothing is said while less than this is used, in the resource's own unit"
    )


class Price(Frozen):
    """What a resource costs, for the cost review."""

    kind: Pattern = Field(description="Kind of sample, wildcards allowed, e.g. filesystem")
    resource: Pattern = Field(default="*", description="Name of the resource, wildcards allowed")
    per_month: float = Field(ge=0, description="Price of `amount` for a month, in `capacity.currency`")
    amount: float = Field(
        default=1, gt=0, description="So many units of the resource, e.g. 1073741824 for a price per GiB of bytes"
    )


class Metric(Frozen):
    """A figure of the platform itself, asked by SQL or of Prometheus: registrations per day, requests, feature use."""

    name: Label = Field(description="Names the resource of kind 'metric'")
    unit: str = Field(default="count", min_length=1, description="count, bytes, percent …")
    sql: str | None = Field(default=None, description="One SELECT that returns one number; read only")
    database: str | None = Field(default=None, description="Where the SQL is asked; default: the first database")
    promql: str | None = Field(
        default=None, description="An expression that gives one number or several, one a label set"
    )
    capacity: float | None = Field(default=None, gt=0, description="What it can grow to, in its unit")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.sql is None) == (self.promql is None):
            raise ValueError("a metric needs either sql or promql")
        if self.database is not None and self.sql is None:
            raise ValueError("database belongs to a metric by sql")
        return self


class DatabaseSampling(Frozen):
    """What is sampled of each PostgreSQL database."""

    tables: int = Field(
        default=200,
        ge=0,
        description="So many of the largest tables are sampled each, by exact size; the others of a schema as one",
    )
    indexes: int = Field(
        default=100, ge=0, description="So many of the largest indexes are sampled each, by exact size"
    )
    statement_timeout_seconds: float = Field(
        default=60, gt=0, description="A question or metric that takes longer is ended and reported, in seconds"
    )
    capacity_bytes: dict[str, int] = Field(
        default_factory=dict,
        description="How large a database may become, by its name, where a contract or plan says so",
    )


class HostSampling(Frozen):
    """What is sampled of the host that runs the flow."""

    filesystems: tuple[Pattern, ...] = Field(
        default=("*",), description="Patterns of mount points; only file systems on disks are taken"
    )
    directories: tuple[Pattern, ...] = Field(
        default=(), description="Directories by pattern whose files are summed, as du does, e.g. /data/*"
    )
    directories_deadline_seconds: float = Field(
        default=600, gt=0, description="Directories not summed by then are reported as SKIP, in seconds"
    )
    processor: bool = Field(default=True, description="CPU since the last sample, and memory")
    interfaces: tuple[Pattern, ...] = Field(default=("*",), description="Patterns of network interfaces; lo never is")


class Cluster(Frozen):
    """A Kubernetes cluster that is read, never changed."""

    name: Label = Field(description="How Nightshift calls it; part of the names of its resources")
    kubeconfig: Path | None = Field(
        default=None, description="File; default: KUBECONFIG, ~/.kube/config, or the service account inside a pod"
    )
    context: str | None = Field(default=None, description="Context of the file; default: its current one")
    namespaces: tuple[str, ...] = Field(
        default=(), description="Namespaces whose pods and claims are read; default: all"
    )
    named: int = Field(
        default=200,
        ge=0,
        description="So many nodes, workloads and volumes are sampled each, the largest first; the rest in sums",
    )
    deadline_seconds: float = Field(default=120, gt=0, description="For everything that is read, in seconds")


class ComposeProject(Frozen):
    """A Docker Compose project on the host that runs the flow."""

    name: Label = Field(description="How Nightshift calls it; part of the names of its services")
    folder: Path = Field(description="Folder of its compose file")
    program: Path | None = Field(default=None, description="The docker program; default: the one on PATH")
    deadline_seconds: float = Field(default=60, gt=0, description="For each docker command, in seconds")


class CapacityPolicy(Frozen):
    """What is sampled every day, when it counts as full, and what it costs."""

    databases: DatabaseSampling = Field(default_factory=DatabaseSampling)
    host: HostSampling | None = Field(default=None, description="The host that runs the flow; none: it is not sampled")
    metrics: tuple[Metric, ...] = Field(default=(), description="Figures of the platform, by SQL or PromQL")
    clusters: tuple[Cluster, ...] = Field(default=(), description="Kubernetes clusters")
    compose: tuple[ComposeProject, ...] = Field(default=(), description="Docker Compose projects")
    thresholds: tuple[CapacityThreshold, ...] = Field(
        default=(
            CapacityThreshold(kind="database", percent=80),
            CapacityThreshold(kind="connections", percent=80),
            CapacityThreshold(kind="cpu", percent=70),
            CapacityThreshold(kind="memory", percent=80),
            CapacityThreshold(kind="filesystem*", percent=70),
            CapacityThreshold(kind="volume", percent=70),
            CapacityThreshold(kind="*", percent=80),
        ),
        description="When a resource that has a capacity counts as full; the first that fits counts",
    )
    alert_days: int = Field(
        default=30, ge=1, description="What will be full within so many days is an alert, in days; see low_share"
    )
    low_share: float = Field(
        default=0.75, ge=0, le=1, description="… when at least this share of its threshold is used already"
    )
    currency: str = Field(default="EUR", min_length=1, description="Of all prices")
    prices: tuple[Price, ...] = Field(default=(), description="For the cost review; the first that fits counts")
    idle_days: int = Field(default=35, ge=1, description="What was not used for so many days counts as idle")
    oversized_share: float = Field(
        default=0.3, gt=0, lt=1, description="What never used more than this share of its capacity counts as oversized"
    )

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, names in (
            ("metrics", [one.name for one in self.metrics]),
            ("clusters", [one.name for one in self.clusters]),
            ("compose projects", [one.name for one in self.compose]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two {what} have the same name")
        return self

    def threshold(self, kind: str, resource: str) -> CapacityThreshold | None:
        """The first threshold that fits a resource."""
        return _first(self.thresholds, kind, resource)

    def price(self, kind: str, resource: str) -> Price | None:
        """The first price that fits a resource."""
        return _first(self.prices, kind, resource)


def _first(choices: tuple[Selecting, ...], kind: str, resource: str) -> Selecting | None:
    fitting = (one for one in choices if fnmatchcase(kind, one.kind) and fnmatchcase(resource, one.resource))
    return next(fitting, None)
