"""The audit of a host by its files: accounts, sudo rights, SSH keys, and the modes of files that hold secrets."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial

from tasks.base.access import HostAccess
from tasks.base.accounts import Account, Look, Rules, Seen, access_finding, findings_of
from tasks.base.clock import utc_now
from tasks.base.findings import Scan, Severity
from tasks.base.scans import Scanning, as_scan
from tasks.base.security import place_of
from tasks.base.system import System
from tasks.host import secret_files, ssh_keys
from tasks.host.accounts import HostAccount, lowest_person, read_accounts
from tasks.host.logins import Logins, read_logins
from tasks.host.root import Root
from tasks.host.ssh_keys import PublicKey
from tasks.host.sudoers import Grant, Sudoers

# Sources: passwd(5), shadow(5), crypt(5), sudoers(5), sshd(8).
RULES: Rules = {
    "uid-zero": (Severity.CRITICAL, "has uid 0 and is not root: it is root under another name"),
    "uid-twice": (Severity.MEDIUM, "several accounts share this uid: what one does counts as done by the other"),
    "empty-password": (Severity.CRITICAL, "an empty password lets everybody in"),
    "password-in-passwd": (Severity.HIGH, "its stored password stands where everyone can read it"),
    "old-password-hash": (Severity.HIGH, "DES, MD5 or the like: whoever reads it can guess it; set it again"),
    "powerful-group": (Severity.MEDIUM, "its members can become root, or read what only root should"),
    "system-account-shell": (Severity.LOW, "an account of a service with a shell that lets somebody work"),
    "expired-account": (Severity.LOW, "it has expired and can be removed: userdel"),
    "unused-account": (Severity.MEDIUM, "it may log in and nobody does"),
    "sudo-everyone": (Severity.CRITICAL, "every account of this host may run it"),
    "sudo-all": (Severity.LOW, "may run everything as root"),
    "sudo-all-without-password": (Severity.HIGH, "whoever gets at this account is root at once"),
    "sudo-without-password": (Severity.MEDIUM, "may run it without being asked who is at the keyboard"),
    "sudo-wildcard": (Severity.MEDIUM, "a wildcard fits arguments that nobody thought of, '/' and spaces included"),
    "sudo-not-authenticated": (Severity.HIGH, "!authenticate: those whom it holds for are not asked for a password"),
    "ssh-key-weak": (Severity.HIGH, "DSA, or RSA below 2048 bits"),
    "ssh-key-old": (Severity.LOW, "the file that holds it has not changed for so long"),
    "ssh-root-key": (Severity.MEDIUM, "lets somebody be root from anywhere: neither from= nor command= holds it back"),
    "ssh-keys-writable": (Severity.HIGH, "others than its owner may write keys into it"),
    "ssh-host-key-readable": (Severity.HIGH, "who reads it can pretend to be this host"),
    "private-key-without-passphrase": (Severity.MEDIUM, "whoever gets the file has the key"),
    "private-key-readable": (Severity.HIGH, "others than its owner may read this private key"),
    "secret-mode": (Severity.HIGH, "others than its owner may touch a file that holds secrets"),
    "secret-owner": (Severity.HIGH, "a file that holds secrets belongs to another account"),
}
# They reach disks, memory, stored passwords, or a daemon that mounts the host's root for them.
_POWERFUL = {"docker", "lxd", "incus", "libvirt", "disk", "kmem", "shadow"}
# A rule, what it holds for, and what may change of that without its being another finding.
Fact = tuple[str, str, str]


def audits(system: System) -> list[Scanning]:
    """One audit per host of the system file."""
    return [(_scope(host), partial(audit, host)) for host in system.access.hosts]


def looks(system: System) -> list[tuple[str, Look]]:
    """What the review asks of each host."""
    return [(_scope(host), partial(look, host)) for host in system.access.hosts]


def audit(host: HostAccess) -> Scan:
    """Read the host's files as a scan; what may not be read makes it incomplete, with what would settle it."""
    return as_scan(_scope(host), "files", lambda: findings_of(look(host)))


def look(host: HostAccess) -> Seen:
    """All accounts with their rights, and what is wrong. Raises ConfigurationError, RefusedError for the root."""
    root, now = Root(place_of(host.root)), utc_now()
    accounts = read_accounts(root)
    logins = read_logins(root, [(one.name, one.uid) for one in accounts])
    sudoers = Sudoers(root)
    files = ssh_keys.authorized_key_files(root, accounts)
    keys = [key for file in files for key in ssh_keys.read_authorized(root, file)]
    found = [
        *_accounts(root, accounts),
        *_use(host, root, accounts, keys, logins, now),
        *_sudo(sudoers),
        *_keys(host, [*keys, *ssh_keys.host_keys(root)], now),
        *secret_files.check(root, host, {one.uid: one.name for one in reversed(accounts)}, files),
    ]
    scope = _scope(host)
    people = [_account(scope, one, sudoers.grants, keys, logins, now) for one in accounts]
    return Seen(
        scope=scope,
        accounts=(*people, *_others(scope, sudoers.grants, accounts)),
        findings=tuple(access_finding(RULES, scope, *one) for one in found),
        gaps=tuple(root.gaps),
    )


def _accounts(root: Root, accounts: list[HostAccount]) -> Iterator[Fact]:
    """What is wrong with the lines of passwd and shadow."""
    shared = Counter(one.uid for one in accounts)
    people, now = lowest_person(root), utc_now()
    for one in accounts:
        if one.uid == 0 and one.name != "root":
            yield "uid-zero", one.name, ""
        if shared[one.uid] > 1:
            yield "uid-twice", one.name, f"uid {one.uid}"
        if one.password == "empty":  # noqa: S105 - a word of ours
            yield "empty-password", one.name, ""
        if one.password == "old":  # noqa: S105
            yield "old-password-hash", one.name, ""
        if one.in_passwd:
            yield "password-in-passwd", one.name, ""
        if 0 < one.uid < people and one.has_shell:
            yield "system-account-shell", one.name, one.shell or "/bin/sh"
        for group in sorted(_POWERFUL & set(one.groups) - {one.name}) if one.uid else ():
            yield "powerful-group", f"{one.name} in {group}", ""
        if one.expires_at is not None and one.expired(now):
            yield "expired-account", one.name, f"since {one.expires_at:%Y-%m-%d}"


def _use(
    host: HostAccess, root: Root, accounts: list[HostAccount], keys: list[PublicKey], logins: Logins, now: datetime
) -> Iterator[Fact]:
    """Accounts that may log in and were not seen for `unused_days`; a record that does not reach so far is a gap."""
    if host.unused_days is None:
        return
    advice = "install libpam-lastlog2, or leave unused_days of this host away"
    if not logins.records:
        root.miss(f"who logged in is not recorded (no lastlog, lastlog2, wtmp); {advice}")
        return
    limit = now - timedelta(days=host.unused_days)
    for one in accounts:
        last = logins.last.get(one.name)
        young = one.changed_at is not None and one.changed_at > limit
        if not _can_log_in(one, keys, now) or young or (last is not None and last > limit):
            continue
        if last is None and logins.begin is not None and logins.begin > limit:
            root.miss(f"the record of logins begins on {logins.begin:%Y-%m-%d}, which says nothing yet of "
                      f"{host.unused_days} days; ask again later, or {advice}")  # fmt: skip
            return
        yield "unused-account", one.name, f"last seen {last:%Y-%m-%d}" if last else "never seen"


def _sudo(sudoers: Sudoers) -> Iterator[Fact]:
    """What sudo gives too easily; root itself needs no sudo."""
    for defaults in sudoers.unasked:
        yield "sudo-not-authenticated", defaults, ""
    for grant in sudoers.grants:
        if grant.who == "root" or grant.command.startswith("!"):
            continue
        thing = f"{grant.who}: {grant.command}"
        if grant.who == "ALL" and not sudoers.target_password:
            yield "sudo-everyone", thing, grant.place
        if grant.is_all:
            yield ("sudo-all-without-password" if grant.without_password else "sudo-all"), grant.who, grant.place
        elif grant.without_password:
            yield "sudo-without-password", thing, grant.place
        if not grant.is_all and any(sign in grant.command for sign in "*?["):
            yield "sudo-wildcard", thing, grant.place


def _keys(host: HostAccess, keys: Iterable[PublicKey], now: datetime) -> Iterator[Fact]:
    """Keys that are weak or old, and those that let somebody be root from anywhere."""
    for key in keys:
        whose = f"{key.account or 'host key'} {key.fingerprint}"
        place = f"{key.path} line {key.line}, {key.type}{f' {key.bits}' if key.bits else ''} {key.comment}".strip()
        if key.is_weak:
            yield "ssh-key-weak", whose, place
        if host.key_days is not None and now - key.changed_at > timedelta(days=host.key_days):
            yield "ssh-key-old", whose, f"{place}, since {key.changed_at:%Y-%m-%d} at least"
        if key.account == "root" and not key.is_restricted:
            yield "ssh-root-key", whose, place


def _account(
    scope: str, one: HostAccount, grants: list[Grant], keys: list[PublicKey], logins: Logins, now: datetime
) -> Account:
    """A line of the review."""
    names = _names(one)
    rights = {f"uid {one.uid}", *(f"group {group}" for group in one.groups)}
    rights |= {f"shell {one.shell or '/bin/sh'}"} if one.has_shell else set()
    rights |= {f"password {one.password}"} if one.password not in ("none", "locked") else set()
    rights |= {grant.in_words for grant in grants if grant.who in names}
    rights |= {key.in_words for key in keys if key.account == one.name}
    last = logins.last.get(one.name)
    told = f"by {', '.join(logins.records)}" if logins.records else "no lastlog, lastlog2 or wtmp on this host"
    return Account(
        scope=scope,
        name=one.name,
        kind="host account",
        rights=tuple(sorted(rights)),
        can_log_in=_can_log_in(one, keys, now),
        last_seen=last,
        seen_by=told,
    )


def _names(one: HostAccount) -> set[str]:
    """As whom sudoers may mean an account."""
    return {one.name, "ALL", f"#{one.uid}", *(f"%{group}" for group in one.groups)}


def _others(scope: str, grants: list[Grant], accounts: list[HostAccount]) -> Iterator[Account]:
    """Names that sudoers gives rights to and that no account of the files bears: groups without members, netgroups."""
    known = {name for one in accounts for name in _names(one)}
    for who in sorted({grant.who for grant in grants} - known):
        rights = sorted({grant.in_words for grant in grants if grant.who == who})
        told = "no account of the files is meant by it"
        yield Account(scope=scope, name=who, kind="sudo rule", rights=tuple(rights), can_log_in=False, seen_by=told)


def _can_log_in(one: HostAccount, keys: list[PublicKey], now: datetime) -> bool:
    """By a shell and either a password or a key; a password that nobody could read counts as one."""
    way_in = one.password not in ("none", "locked") or any(key.account == one.name for key in keys)
    return one.has_shell and way_in and not one.expired(now)


def _scope(host: HostAccess) -> str:
    return f"host {host.name}"
