"""Holding back from the server's log the statement that sets a password.

The settings are those that write a statement, or what is made of it, into the log, into an extension's memory or into
pg_stat_activity. Source: PostgreSQL's documentation, "Error Reporting and Logging", and those of auto_explain,
pg_stat_statements, pgaudit and pg_stat_monitor.
"""

from typing import Any

import psycopg
from psycopg import Connection

from tasks.postgres import queries
from tasks.postgres.connection import lost

# What each must be. They are set for the session: which transactions are logged is chosen when they begin.
QUIET = {
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    # Whatever is logged at this severity has its statement behind it: an error, a cancel, a long wait for a lock.
    "log_min_error_statement": "panic",
    "debug_print_raw_parse": "off",
    "debug_print_parse": "off",
    "debug_print_rewritten": "off",
    "debug_print_plan": "off",
    # Shown to who watches sessions, and logged when a process of the server dies.
    "track_activities": "off",
    "auto_explain.log_min_duration": "-1",
    "pg_stat_statements.track": "none",
    "pg_stat_statements.track_utility": "off",
    "pg_stat_monitor.pgsm_track": "none",
    "pgaudit.log": "none",
}


def make_quiet(connection: Connection[Any]) -> list[str]:
    """Make an autocommit session quiet; return what this role cannot set, and stays loud."""
    stays = []
    for name in loud_in(connection):
        try:
            connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, QUIET[name]])
        except psycopg.Error as error:
            if lost(error):
                raise
            stays.append(name)
    return stays


def loud_in(connection: Connection[Any]) -> list[str]:
    """The settings by which this very session would write or show the statement."""
    settings = connection.execute(queries.load("rotation/settings"), [list(QUIET)]).fetchall()
    return [str(name) for name, value in settings if value != QUIET[name]]
