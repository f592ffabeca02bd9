"""Scans by gitleaks: the full history of a git work tree, or a folder. The secrets themselves are never kept."""

import hashlib
import hmac
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from tasks.base.errors import ConfigurationError, IncompleteError, MissingError, ToolFailedError
from tasks.base.findings import Finding, Scan, Severity, identity_of
from tasks.base.programs import Program, output_of
from tasks.base.scans import as_scan
from tasks.base.scratch import scratch_folder
from tasks.base.secrets import resolve
from tasks.base.security import Folder, SecurityPolicy, place_of
from tasks.scanners.limits import last_line, require_readable, run_scanner
from tasks.scanners.programs import Scanner

_GIT_SECONDS = 120
_LEAKS_OR_NOT = (0, 1)
# The scanned folder's own .gitleaks.toml could switch every rule off.
_RULES = "[extend]\nuseDefault = true\n"
_COMMITS = re.compile(r"(\d+) commits scanned")
_ERROR = re.compile(r"\b(?:ERR|FTL) (.+)")
Json = dict[str, Any]


def scope_of(command: str, folder: Folder) -> str:
    """What findings of `git` or `dir` name: without the path, which changes while the folder stays the same."""
    return f"gitleaks {command} {folder.name}"


def scan_history(folder: Folder, gitleaks: Scanner, policy: SecurityPolicy) -> Scan:
    """Search every commit of all branches of a git work tree."""
    scope = scope_of("git", folder)

    def look() -> list[Finding]:
        require_whole_history(place_of(folder.path))
        return _look("git", scope, folder, gitleaks, policy)

    return as_scan(scope, gitleaks.name, look)


def scan_folder(folder: Folder, gitleaks: Scanner, policy: SecurityPolicy) -> Scan:
    """Search the files of a folder as they are."""
    scope = scope_of("dir", folder)

    def look() -> list[Finding]:
        require_readable(place_of(folder.path))
        return _look("dir", scope, folder, gitleaks, policy)

    return as_scan(scope, gitleaks.name, look)


def require_whole_history(folder: Path) -> None:
    """Raise unless the folder is the top of a git work tree with all its commits, and git trusts its owner.

    Otherwise gitleaks says "no leaks found" with exit code 0 and has seen nothing, or not all.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    if Path(top).resolve() != folder.resolve():
        raise ToolFailedError(f"{folder} lies inside the git work tree {top}; name that in the system file")
    if _git(folder, "rev-parse", "--is-shallow-repository") != "false":
        raise IncompleteError(
            f"{folder} is a shallow clone: secrets of commits that it lacks stay hidden; run 'git fetch --unshallow'"
        )
    if int(_git(folder, "rev-list", "--all", "--count") or 0) == 0:
        raise ToolFailedError(f"{folder} has no commit: there is nothing that could be clean")


def _git(folder: Path, *arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise MissingError("git is not on PATH; install it, for gitleaks reads history through it")
    # GIT_DIR and its like of the environment would lead to another repository.
    environment = {name: None for name in os.environ if name.startswith("GIT_")}
    program = Program(
        arguments=(git, "-C", str(folder), *arguments), environment=environment, deadline_seconds=_GIT_SECONDS
    )
    try:
        return output_of(program).strip()
    except ToolFailedError as error:
        raise ToolFailedError(
            f"{folder} cannot be read as a git work tree: {error}; correct its path, or its owner "
            f"('git config --global --add safe.directory {folder}' trusts it)"
        ) from None


def _look(command: str, scope: str, folder: Folder, gitleaks: Scanner, policy: SecurityPolicy) -> list[Finding]:
    key, target = hmac_key(policy), place_of(folder.path)
    # For a moment the report holds the secrets in clear.
    with scratch_folder() as place:
        report, rules = place / "report.json", place / "rules.toml"
        report.touch(mode=0o600)
        rules.write_text(_RULES)
        log_options = ("--log-opts=--all --full-history",) if command == "git" else ()
        source = _history_of(target, place) if command == "git" else _files_of(target, place)
        finished = run_scanner(
            Program(
                arguments=(
                    gitleaks.path,
                    command,
                    "--no-banner",
                    "--no-color",
                    "--ignore-gitleaks-allow",
                    *("--gitleaks-ignore-path", str(place)),
                    *("--config", str(rules)),
                    *("--report-format", "json", "--report-path", str(report)),
                    *log_options,
                    str(source),
                ),
                environment=_environment(source),
                ok_codes=_LEAKS_OR_NOT,
                deadline_seconds=policy.timeout_seconds,
                cwd=place,
            )
        )
        if command == "git":
            _require_commits(finished.stderr_tail)
        return [_finding(found, scope, source, key) for found in _report(report, finished.stderr_tail)]


def _history_of(target: Path, place: Path) -> Path:
    """A work tree of the same history with nothing in it: no .gitleaksignore and no .gitattributes that hides text."""
    source = place / "history"
    source.mkdir()
    (source / ".git").write_text(f"gitdir: {_git(target, 'rev-parse', '--absolute-git-dir')}\n")
    return source


def _files_of(target: Path, place: Path) -> Path:
    """The same folder by a path that nobody knew before: entries of its .gitleaksignore name files by theirs."""
    target = target.resolve()
    if not target.name:
        if (target / ".gitleaksignore").exists():
            raise IncompleteError("/.gitleaksignore keeps gitleaks from telling all; take it away, then scan again")
        return target
    (place / "above").symlink_to(target.parent)
    return place / "above" / target.name


def _environment(source: Path) -> dict[str, str | None]:
    """Without settings of the host. Git trusted the real work tree a moment ago, so it may trust the empty one."""
    environment: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("GITLEAKS_", "GIT_"))}
    trusted = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": str(source)}
    return environment | trusted


def _require_commits(said: str) -> None:
    """Raise unless gitleaks says that it read commits, and git had nothing to say beside it."""
    if (error := _ERROR.search(said)) is not None:
        raise IncompleteError(f"gitleaks did not read all of the history: {error[1].strip()}; try it by hand there")
    scanned = _COMMITS.search(said)
    if scanned is None or int(scanned[1]) == 0:
        raise ToolFailedError("gitleaks scanned no commit, so nothing can be said; try 'git log --all' in that folder")


def _report(path: Path, said: str) -> list[Json]:
    try:
        found = json.loads(path.read_bytes())
        if isinstance(found, list):
            return found
    except (OSError, ValueError):
        pass
    raise ToolFailedError(f"gitleaks wrote no report that can be read; it said: {last_line(said)}; try it by hand")


def hmac_key(policy: SecurityPolicy) -> bytes:
    """The key under which found secrets are told apart. Raises ConfigurationError when it is not set or not there."""
    if policy.secret_key is None:
        raise ConfigurationError(
            "security.secret_key is not set: found secrets are told apart by an HMAC under it and never stored; "
            "make one with 'openssl rand -hex 32' and name where it is (env:NAME, file:/path, secret:BLOCK)"
        )
    return resolve(policy.secret_key).encode()


def _finding(found: Json, scope: str, source: Path, key: bytes) -> Finding:
    digest = hmac.new(key, str(found["Secret"]).encode(), hashlib.sha256).hexdigest()
    place = os.path.relpath(found["File"], source) if os.path.isabs(found["File"]) else str(found["File"])  # noqa: PTH117
    commit = str(found.get("Commit") or "")[:12]
    return Finding(
        identity=identity_of(scope, "secret", place, str(found["RuleID"]), digest),
        scope=scope,
        kind="secret",
        # gitleaks gives none; a leaked secret is usable until it is changed.
        severity=Severity.CRITICAL,
        rule=str(found["RuleID"]),
        title=str(found.get("Description") or ""),
        location=f"{place}:{found.get('StartLine')}" + (f" in {commit}" if commit else ""),
    )
