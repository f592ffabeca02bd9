"""Which rights a backup needs and the role lacks, each with the statement that gives it."""

from collections.abc import Sequence

from tasks.base.backup import BackupPolicy, FingerprintMode
from tasks.base.words import CheckResult, Verdict
from tasks.postgres.inspect.access import Access

# With more gaps than this the role that reads all is the better remedy than a GRANT of a page.
_NAMED = 5


def missing_rights(target: str, access: Access, policy: BackupPolicy) -> list[CheckResult]:
    """One FAIL for each kind of right that is missing, with what mends it; one OK when none is."""
    role, read_all = access.role, f"GRANT pg_read_all_data TO {access.role}"
    remedies = {
        "schema": ("may not use", "GRANT USAGE ON SCHEMA {names} TO {role}"),
        "table": ("may not read", "GRANT SELECT ON TABLE {names} TO {role}"),
        "sequence": ("may not read", "GRANT SELECT ON SEQUENCE {names} TO {role}"),
        "row security": ("does not see all rows of", "ALTER ROLE {role} BYPASSRLS"),
        "large object": ("may not read", "ALTER ROLE {role} SET lo_compat_privileges = on"),
    }
    missing = []
    for kind, (words, remedy) in remedies.items():
        if names := access.gaps.get(kind):
            many = "{names}" in remedy and len(names) > _NAMED
            statement = read_all if many else remedy.format(names=", ".join(names), role=role)
            missing.append(f"{role} {words} {_counted(kind, names)}; as a superuser: {statement}")
    if policy.fingerprint.mode is FingerprintMode.CONTENT and not access.reads_large_object_pages:
        missing.append(f"{role} may not read pg_largeobject for the fingerprint; as a superuser: {read_all}")
    if policy.role_passwords and not access.reads_role_passwords:
        missing.append(
            f"{role} may not read the passwords of roles (pg_authid); set backup.role_passwords: false, "
            f"or as a superuser: {read_all}"
        )
    if not missing:
        reads = f"{role} may read everything that a backup needs"
        return [CheckResult(name="rights", target=target, verdict=Verdict.OK, message=reads)]
    return [CheckResult(name="rights", target=target, verdict=Verdict.FAIL, message=message) for message in missing]


def _counted(kind: str, names: Sequence[str]) -> str:
    """How many, and the first of them by name."""
    thing = "table with row security" if kind == "row security" else kind
    plural = {"table with row security": "tables with row security"}.get(thing, f"{thing}s")
    more = ", …" if len(names) > _NAMED else ""
    return f"{len(names)} {thing if len(names) == 1 else plural} ({', '.join(names[:_NAMED])}{more})"
