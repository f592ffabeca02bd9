"""Judging a copy that stands beside its source: what differs by design is no loss, all else is one."""

from tasks.base.words import CheckResult, Verdict
from tasks.postgres.fingerprint.compare import compare
from tasks.postgres.fingerprint.models import Fingerprint
from tasks.postgres.names import quoted

_ROLE_KINDS = ("role ", "membership ", "options of membership ", "password of role ", "comment on role ")
_PASSWORD = "password of role "  # noqa: S105 - the name of a kind
_PARAMETER = "grant on parameter "
_EVERYWHERE = " everywhere"
# More roles than this that are not at the server are said in one sentence.
_NAMED = 20


def differences(
    source: Fingerprint, restored: Fingerprint, temporary: str, name: str, *, passwords: bool
) -> list[CheckResult]:
    """What the copy, read under its temporary name, has otherwise than the database of that name had.

    The database's comment is not among it: until the copy has its own name, it says there what the copy is. Roles and
    what else belongs to the whole server is WARN or INFO: it was there before, and is left as it is. `passwords`:
    whether the copy's fingerprint holds them.
    """
    comment = f"comment on database {name}"
    there = {_renamed(key, temporary, name, source): value for key, value in restored.objects.items()}
    before = {key: value for key, value in source.objects.items() if key != comment}
    if not passwords:
        before = {key: value for key, value in before.items() if not key.startswith(_PASSWORD)}
    there = {
        key: value for key, value in there.items() if key != comment and (key in before or not _of_the_server(key))
    }
    found = compare(
        source.model_copy(update={"objects": before}), restored.model_copy(update={"objects": there}), "the server"
    )
    judged = [_judged(one, before, there) for one in found]
    absent = [one for one in judged if one.target.startswith("role ") and one.target not in there]
    if len(absent) <= _NAMED:
        return judged
    message = f"are not at this server, the first is {absent[0].target}; nothing of this database needed them"
    some = CheckResult(name="fingerprint", target=f"{len(absent)} roles", verdict=Verdict.WARN, message=message)
    return [*(one for one in judged if one not in absent), some]


def _renamed(key: str, temporary: str, name: str, source: Fingerprint) -> str:
    """The key under the source's name: some hold it as it is, some quoted."""
    if temporary not in key:
        return key
    plain = key.replace(temporary, name)
    return plain if plain in source.objects else key.replace(temporary, quoted(name))


def _of_the_server(key: str) -> bool:
    return key.startswith((*_ROLE_KINDS, _PARAMETER)) or (key.startswith("setting ") and key.endswith(_EVERYWHERE))


def _judged(one: CheckResult, before: dict[str, str], there: dict[str, str]) -> CheckResult:
    if one.target.startswith("tablespace "):
        message = "does not hold the copy: everything lies in the server's default tablespace; move it when it matters"
        return one.model_copy(update={"verdict": Verdict.WARN, "message": message})
    if not _of_the_server(one.target):
        return one
    if one.verdict is Verdict.SKIP:
        return one.model_copy(update={"verdict": Verdict.INFO})
    if one.target.startswith(_PASSWORD):
        message = "is another than at the time of the backup; it was left as it is"
        return one.model_copy(update={"verdict": Verdict.INFO, "message": message})
    how = "is other than in the backup" if one.target in there and one.target in before else "is not at this server"
    message = f"{how}; what belongs to the whole server is left as it is, compare it when access matters"
    return one.model_copy(update={"verdict": Verdict.WARN, "message": message})
