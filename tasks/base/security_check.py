"""What is looked at every day: the `security_check` part of a system file."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from tasks.base.doors import FirewallPolicy, ListeningPolicy
from tasks.base.findings import Severity
from tasks.base.prometheus import AlertmanagerPolicy
from tasks.base.security import AbsolutePath
from tasks.base.words import Frozen

Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9:][A-Za-z0-9._:-]{0,252}$", description="Name or address")]
Port = Annotated[int, Field(ge=1, le=65535)]


class StartTls(StrEnum):
    """Protocols that begin in clear and ask for TLS."""

    POSTGRES = "postgres"
    SMTP = "smtp"


class Endpoint(Frozen):
    """A server that shows a certificate."""

    host: Host = Field(description="Name or address that is connected to")
    port: Port = 443
    server_name: Host | None = Field(
        default=None, description="Name that is asked for (SNI) and that the certificate must bear; default: `host`"
    )
    starttls: StartTls | None = Field(
        default=None, description="Protocol that asks for TLS first; default: TLS at once"
    )

    @property
    def name(self) -> str:
        """The name that the certificate must bear."""
        return self.server_name or self.host

    @property
    def address(self) -> str:
        """HOST:PORT, with the name asked for when it is another one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + (f" ({self.server_name})" if self.name != self.host else "")


class CertificatePolicy(Frozen):
    """Which certificates are looked at, and how soon their end is told."""

    endpoints: tuple[Endpoint, ...] = Field(default=(), description="Servers, asked for the certificate they show")
    files: tuple[AbsolutePath, ...] = Field(
        default=(), description="Patterns (wildcards) of certificate files, PEM or DER, e.g. /etc/ssl/shop/*.pem"
    )
    authorities: tuple[AbsolutePath, ...] = Field(
        default=(), description="PEM files of authorities that are trusted beside those of the host"
    )
    warning_days: float = Field(default=30, ge=0, description="One that ends sooner is WARN, in days")
    critical_days: float = Field(default=7, ge=0, description="One that ends sooner is FAIL, in days")
    deadline_seconds: float = Field(default=10, gt=0, description="Total time for one server, in seconds")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.critical_days > self.warning_days:
            raise ValueError("critical_days must not be more than warning_days")
        addresses = [endpoint.address for endpoint in self.endpoints]
        if len(set(addresses)) != len(addresses) or len(set(self.files)) != len(self.files):
            raise ValueError("an endpoint or a file stands there twice; findings would be mixed")
        return self


class UpdatePolicy(Frozen):
    """Which updates of the host's packages are told."""

    origins: tuple[str, ...] = Field(
        default=("*-security*", "*-lts*", "*esm*"),
        description="Patterns (wildcards) of apt's archives whose updates are security updates; dnf tells by itself",
    )
    severity: Severity = Field(
        default=Severity.HIGH, description="Of an update of which apt tells none; its deadline is in security.deadlines"
    )
    max_age_hours: float = Field(
        default=48, gt=0, description="Package lists that are older make the check incomplete, in hours"
    )
    deadline_seconds: float = Field(default=120, gt=0, description="Of each program that is asked, in seconds")


class SecurityCheckPolicy(Frozen):
    """What the daily check looks at; what is not named is not looked at."""

    certificates: CertificatePolicy = Field(default_factory=CertificatePolicy)
    listening: ListeningPolicy | None = Field(default=None, description="Sockets that listen on the host of the run")
    firewall: FirewallPolicy | None = Field(default=None, description="What the firewall of that host lets in")
    updates: UpdatePolicy | None = Field(default=None, description="Pending security updates of the host of the run")
    alertmanager: AlertmanagerPolicy | None = Field(default=None, description="Whose firing alerts are told")
