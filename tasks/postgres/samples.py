"""What a PostgreSQL database takes up, and the figures that a system file asks of it by SQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite

import psycopg
from psycopg import Connection, sql

from tasks.base import stopping
from tasks.base.capacity import DatabaseSampling, Metric
from tasks.base.errors import IncompleteError, UnreachableError
from tasks.base.samples import Sample, Sampled, sampled
from tasks.base.system import Database
from tasks.base.words import CheckResult, Verdict
from tasks.postgres import queries
from tasks.postgres.connection import connect

Session = Connection[tuple[object, ...]]
_LOCK_TIMEOUT_SECONDS = 5


def sample_database(database: Database, policy: DatabaseSampling, metrics: Sequence[Metric], run_id: str) -> Sampled:
    """Ask the questions of queries/samples, then the metrics; one that fails is a check, and the others go on.

    Raises UnreachableError (no connection, or it was lost: then nothing is kept), RefusedError, ConfigurationError.
    """
    bound = {
        "name": database.name,
        "capacity": policy.capacity_bytes.get(database.name),
        "tables": policy.tables,
        "indexes": policy.indexes,
    }
    samples: list[Sample] = []
    checks: list[CheckResult] = []
    with _session(database, policy, run_id) as session:
        for question in queries.names("samples"):
            with _answered(session, database, question.rpartition("/")[2], checks):
                rows = session.execute(queries.load(question), bound).fetchall()
                samples += [Sample.model_validate(dict(zip(Sample.model_fields, row, strict=True))) for row in rows]
        for metric in metrics:
            with _answered(session, database, f"metric {metric.name}", checks):
                samples.append(_measured(session, metric))
    return sampled(database.name, samples, checks)


@contextmanager
def _session(database: Database, policy: DatabaseSampling, run_id: str) -> Iterator[Session]:
    """A session in which each statement is a read-only transaction of its own that waits and works only so long."""
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{policy.statement_timeout_seconds:g}s",
        "lock_timeout": f"{_LOCK_TIMEOUT_SECONDS}s",
    }
    with connect(database, application_name=f"nightshift:sample:{run_id}") as session:
        session.autocommit = True
        with stopping.on_stop(session.cancel):
            for key, value in settings.items():
                session.execute(sql.SQL("SET {} = {}").format(sql.Identifier(key), sql.Literal(value)))
            yield session


@contextmanager
def _answered(session: Session, database: Database, question: str, checks: list[CheckResult]) -> Iterator[None]:
    """What the server refuses or does not do in time inside the block becomes a check."""
    verdict, said = Verdict.FAIL, ""
    try:
        yield
    except IncompleteError as error:
        said = str(error)
    except psycopg.errors.InsufficientPrivilege as error:
        verdict = Verdict.SKIP
        said = f"{_sentence(error)}; GRANT pg_monitor (statistics) or SELECT to the role, see docs/least_privilege.md"
    except psycopg.errors.QueryCanceled as error:
        stopping.raise_if_stopped()
        said = f"{_sentence(error)}; raise capacity.databases.statement_timeout_seconds, or look at what it waits for"
    except psycopg.Error as error:
        stopping.raise_if_stopped()
        if session.closed:
            raise UnreachableError(
                f"the connection to '{database.name}' was lost: {_sentence(error)}; look whether the server runs"
            ) from None
        said = f"{_sentence(error)}; correct the statement, or report it when it is not yours"
    if said:
        checks.append(CheckResult(name=question, target=database.name, verdict=verdict, message=said))


def _measured(session: Session, metric: Metric) -> Sample:
    """The number that the operator's own statement returns. Raises IncompleteError when it is none."""
    # Prepared, so that the server takes one statement only: a second one could end the read-only transaction.
    answer = session.execute((metric.sql or "").encode(), prepare=True)
    rows = answer.fetchmany(2) if answer.description else []
    if len(rows) != 1 or len(rows[0]) != 1:
        raise IncompleteError(f"metric '{metric.name}' returned no single value; let its SQL return one number")
    try:
        used = float(str(rows[0][0]))
    except ValueError:
        used = float("nan")
    if not isfinite(used):
        raise IncompleteError(f"metric '{metric.name}' returned no number; let its SQL return one, 0 in place of NULL")
    return Sample(kind="metric", resource=metric.name, unit=metric.unit, used=used, capacity=metric.capacity)


def _sentence(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
