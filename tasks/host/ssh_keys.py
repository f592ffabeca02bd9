"""SSH keys of a host: who may come in by which key, its host keys, and private keys without a passphrase."""

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256

from pydantic import Field

from tasks.base.words import Frozen
from tasks.host.accounts import HostAccount
from tasks.host.root import Root

_DEFAULT_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
_LINE = re.compile(
    r'^(?:(?P<options>(?:[^\s"]|"(?:\\.|[^"\\])*")+)\s+)?'
    r"(?P<type>(?:sk-)?(?:ssh|ecdsa)-[\w@.-]+)\s+(?P<blob>[A-Za-z0-9+/=]+)(?:\s+(?P<comment>.*))?$"
)
_CURVE = re.compile(rb"nistp(\d+)")


class PublicKey(Frozen):
    """One public key where it stands."""

    account: str = Field(description="Who may come in by it; empty for a key of the host itself")
    path: str
    line: int
    type: str
    bits: int | None = Field(description="None: not known for this type")
    fingerprint: str = Field(description="SHA256:…, as ssh-keygen -l shows it")
    comment: str
    options: str = Field(description="What the line allows or forces, as it stands there; empty: everything")
    changed_at: datetime = Field(description="Last change of the file: the key is at least so old, or was moved since")

    @property
    def is_weak(self) -> bool:
        """DSA, and RSA below 2048 bits (NIST SP 800-131A)."""
        return self.type == "ssh-dss" or (self.type == "ssh-rsa" and self.bits is not None and self.bits < 2048)

    @property
    def is_restricted(self) -> bool:
        """True when the line forces a command or says where the client must be."""
        return bool(re.search(r"(^|,)(command|from)=", self.options))

    @property
    def in_words(self) -> str:
        """As a person reads it in a list of rights."""
        bits = f" {self.bits}" if self.bits else ""
        # A forced command may hold what nobody but its owner should read.
        forced = re.sub(r'command="(?:\\.|[^"\\])*"', "command=…", self.options)
        return f"ssh key {self.type}{bits} {self.fingerprint}{' ' + forced if forced else ''}"


class KeyFile(Frozen):
    """A file that is read for keys: whose it should be, and where it lies."""

    account: HostAccount
    path: str


def authorized_key_files(root: Root, accounts: list[HostAccount]) -> list[KeyFile]:
    """The files that sshd reads for each account, by AuthorizedKeysFile of its configuration."""
    patterns, command, authorities = _configured(root)
    if command:
        root.miss(f"sshd takes keys from a program too; review what it answers: {command}")
    if authorities:
        root.miss(f"sshd takes every key that an authority signed too; review what it signs: {authorities}")
    found = []
    for account in accounts:
        tokens = {"%%": "%", "%h": account.home, "%u": account.name, "%U": str(account.uid)}
        for pattern in patterns:
            path = re.sub(r"%[%huU]", lambda sign: tokens[sign[0]], pattern)  # noqa: B023 - used at once
            found.append(KeyFile(account=account, path=path if path.startswith("/") else f"{account.home}/{path}"))
    return found


def read_authorized(root: Root, file: KeyFile) -> list[PublicKey]:
    """The keys of one file; a line that is none is a gap."""
    return list(_keys(root, file.path, file.account.name))


def host_keys(root: Root) -> list[PublicKey]:
    """The keys by which the host shows who it is."""
    paths = root.matching("/etc/ssh/ssh_host_*_key.pub")
    return [key for path in paths for key in _keys(root, path, "")]


def is_private_key(data: bytes) -> bool:
    """True for PEM and OpenSSH private keys."""
    return b"PRIVATE KEY-----" in data[:4096]


def has_passphrase(data: bytes) -> bool:
    """True when a private key is encrypted. OpenSSH's own format names its cipher first (PROTOCOL.key)."""
    if b"BEGIN OPENSSH PRIVATE KEY" in data:
        body = re.sub(rb"-----[^-]+-----|\s", b"", data)
        try:
            blob = base64.b64decode(body)
        except binascii.Error:
            return False
        return not blob.startswith(b"openssh-key-v1\0\0\0\0\x04none")
    return b"ENCRYPTED PRIVATE KEY" in data or b"Proc-Type: 4,ENCRYPTED" in data


def _keys(root: Root, path: str, account: str) -> Iterator[PublicKey]:
    text, status = root.text(path), root.status(path)
    if text is None or status is None:
        return
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.match(line)
        blob = _decoded(found["blob"]) if found else None
        if found is None or blob is None:
            root.miss(f"{path} line {number} is no key that is understood; look at it: ssh-keygen -l -f {path}")
            continue
        yield PublicKey(
            account=account,
            path=path,
            line=number,
            type=found["type"],
            bits=_bits(blob),
            fingerprint=f"SHA256:{base64.b64encode(sha256(blob).digest()).decode().rstrip('=')}",
            comment=found["comment"] or "",
            options=found["options"] or "",
            changed_at=datetime.fromtimestamp(status.st_mtime, UTC),
        )


def _configured(root: Root) -> tuple[list[str], str, str]:
    """Every AuthorizedKeysFile of sshd_config, also those that hold only for some; key program and authorities."""
    patterns: list[str] = []
    command = authorities = ""
    waiting = ["/etc/ssh/sshd_config"]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for line in (root.text(path) or "").splitlines():
            words = re.split(r"[\s=]+", line.split("#")[0].strip())
            key, values = words[0].lower(), [word.strip('"') for word in words[1:]]
            if key == "include":
                for one in values:
                    waiting += root.matching(one if one.startswith("/") else f"/etc/ssh/{one}")
            elif key == "authorizedkeysfile":
                patterns += [value for value in values if value != "none" and value not in patterns]
            elif key == "authorizedkeyscommand" and values[:1] != ["none"]:
                command = " ".join(values)
            elif key == "trustedusercakeys" and values[:1] != ["none"]:
                authorities = " ".join(values)
    return patterns or list(_DEFAULT_FILES), command, authorities


def _decoded(text: str) -> bytes | None:
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return blob if len(blob) > 8 else None


def _bits(blob: bytes) -> int | None:
    """The length of the key's number, by RFC 4253; of elliptic curves that of the curve."""
    fields = _fields(blob)
    kind = fields[0] if fields else b""
    if kind == b"ssh-rsa" and len(fields) > 2:
        return int.from_bytes(fields[2]).bit_length()
    if kind == b"ssh-dss" and len(fields) > 1:
        return int.from_bytes(fields[1]).bit_length()
    if b"ed25519" in kind:
        return 256
    curve = _CURVE.search(kind)
    return int(curve[1]) if curve else None


def _fields(blob: bytes) -> list[bytes]:
    fields, place = [], 0
    while place + 4 <= len(blob):
        length = int.from_bytes(blob[place : place + 4])
        fields.append(blob[place + 4 : place + 4 + length])
        place += 4 + length
    return fields
