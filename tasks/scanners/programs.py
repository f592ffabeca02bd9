"""Which scanner program runs: its version and checksum are held against what is allowed and what is known to be bad."""

import hashlib
import os
import re
import shutil
from pathlib import Path

from tasks.base.errors import ConfigurationError, MissingError, RefusedError
from tasks.base.programs import Program, output_of
from tasks.base.security import ScannerProgram, place_of
from tasks.base.words import Frozen

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_ASK = {"trivy": "--version", "gitleaks": "version"}
# Releases of 19 to 23 March 2026 that were malicious, see FACTS of the design.
KNOWN_BAD = {"trivy": {"0.69.4", "0.69.5", "0.69.6"}, "gitleaks": set[str]()}
_ASK_SECONDS = 60


class Scanner(Frozen):
    """A scanner program that may run."""

    path: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """Program and version, e.g. 'trivy 0.76.0'."""
        return f"{Path(self.path).name} {self.version}"


def find_scanner(name: str, allowed: ScannerProgram) -> Scanner:
    """The program `trivy` or `gitleaks` that the system allows.

    Raises MissingError (not found), RefusedError (version or checksum is not allowed, or is known to be bad) and
    ConfigurationError (it does not tell its version).
    """
    found = str(place_of(allowed.path)) if allowed.path else shutil.which(name)
    if not found or not Path(found).is_file():
        where = f"at {allowed.path}" if allowed.path else "on PATH"
        raise MissingError(
            f"{name} is not {where}; install it there, or name it in the system file as security.{name}.path"
        )
    path = Path(found).resolve()
    # Asked before its checksum is known, a program that is not ours would already have run.
    digest = _sha256(path)
    if allowed.sha256 and digest not in allowed.sha256:
        raise RefusedError(
            f"{path} has the SHA-256 {digest}, which security.{name}.sha256 does not allow; install the release whose "
            "checksum stands there, or add this one after checking where it came from"
        )
    version = _version(name, path)
    if version in KNOWN_BAD[name]:
        raise RefusedError(f"{path} is {name} {version}, a release known to be malicious; remove it from this host")
    if allowed.versions and version not in allowed.versions:
        raise RefusedError(
            f"{path} is {name} {version}; security.{name}.versions allows {', '.join(allowed.versions)}: install one"
        )
    return Scanner(path=str(path), version=version, sha256=digest)


def without_settings() -> dict[str, str | None]:
    """The change of environment that keeps the host's settings from Trivy: TRIVY_SEVERITY and its like hide."""
    return {name: None for name in os.environ if name.startswith("TRIVY_")}


def _version(name: str, path: Path) -> str:
    said = output_of(Program(arguments=(str(path), _ASK[name]), deadline_seconds=_ASK_SECONDS))
    found = _VERSION.search(said)
    if found is None:
        raise ConfigurationError(f"{path} tells no version; is it {name}?")
    return found[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
