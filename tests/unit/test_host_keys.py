"""SSH keys and files with secrets of a host: what is weak, old, open to others or not held back."""

import base64
import os
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tasks.base.clock import utc_now
from tests.unit.hosts import PASSWD, host, of

__all__ = ["host"]


def public(key):
    return key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()


def private(key, passphrase=None):
    kind = form.BestAvailableEncryption(passphrase) if passphrase else form.NoEncryption()
    return key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8 if passphrase else form.PrivateFormat.OpenSSH, kind
    )


def test_keys_are_told_by_type_length_age_and_what_they_force(host):
    weak, good = rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()
    curve = public(ec.generate_private_key(ec.SECP256R1()))
    fields = (b"ssh-dss", b"\0" + b"\xff" * 128)
    ancient = base64.b64encode(b"".join(len(one).to_bytes(4) + one for one in fields)).decode()
    host.write("/etc/ssh/sshd_config", "Include sshd_config.d/*.conf\n")
    host.write("/etc/ssh/sshd_config.d/keys.conf", "AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/keys/%u\n")
    ada = host.write("/home/ada/.ssh/authorized_keys", f"# mine\n{public(weak)} ada@old\n{curve} ada@new\n")
    forced = f'from="10.0.0.1",command="echo \\"a secret\\"" {curve} backup\n'
    host.write("/root/.ssh/authorized_keys", f"{public(good)} anywhere\n{forced}", 0o622)
    host.write("/etc/ssh/keys/ben", f"ssh-dss {ancient} ben\n")
    host.write("/etc/ssh/ssh_host_ed25519_key.pub", public(good))
    host.write("/etc/ssh/ssh_host_ed25519_key", private(good), 0o644)
    then = (utc_now() - timedelta(days=800)).timestamp()
    os.utime(ada, (then, then))
    seen = host.look(key_days=365)
    by_rule = {rule: [one for one in seen.findings if one.rule == rule] for rule, _ in of(seen, "ssh")}
    assert {one.location.split(" ")[0] for one in by_rule["ssh-key-weak"]} == {"ada", "ben"}
    assert any("ssh-rsa 1024 ada@old" in one.location for one in by_rule["ssh-key-weak"])
    assert any("ssh-dss 1024" in one.location for one in by_rule["ssh-key-weak"])
    assert len(by_rule["ssh-key-old"]) == 2
    assert f"since {datetime.fromtimestamp(then, UTC):%Y-%m-%d} at least" in by_rule["ssh-key-old"][0].location
    (unrestricted,) = by_rule["ssh-root-key"]
    assert "anywhere" in unrestricted.location
    assert {one.location.split(" ")[0] for one in by_rule["ssh-host-key-readable"]} == {"/etc/ssh/ssh_host_ed25519_key"}
    assert "/root/.ssh/authorized_keys" in {one.location.split(" ")[0] for one in by_rule["ssh-keys-writable"]}
    said = {one.name: " ".join(one.rights) for one in seen.accounts}
    assert 'from="10.0.0.1",command=…' in said["root"]
    assert "a secret" not in seen.model_dump_json()
    assert "ecdsa-sha2-nistp256 256 SHA256:" in said["ada"]
    host.write("/home/ben/.ssh/authorized_keys", "ssh-ed25519 none")
    assert any("/home/ben/.ssh/authorized_keys line 1 is no key" in gap for gap in host.look().gaps)
    host.write("/etc/ssh/sshd_config.d/more.conf", "AuthorizedKeysCommand none\nTrustedUserCAKeys /etc/ssh/ca.pub\n")
    assert [gap for gap in host.look().gaps if "sshd" in gap] == [
        "sshd takes every key that an authority signed too; review what it signs: /etc/ssh/ca.pub"
    ]


def test_private_keys_and_secret_files_are_held_against_the_system_file(host):
    good = ed25519.Ed25519PrivateKey.generate()
    # OpenSSH's own encrypted form begins with the name of its cipher.
    sealed = base64.b64encode(b"openssh-key-v1\0\0\0\0\x0aaes256-ctr\0\0\0\x06bcrypt")
    host.write("/home/ada/.ssh/id_open", private(good), 0o640)
    host.write(
        "/home/ada/.ssh/id_sealed",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + sealed + b"\n-----END OPENSSH PRIVATE KEY-----\n",
        0o600,
    )
    host.write("/home/ada/.ssh/id_pem", private(good, b"planted"), 0o600)
    host.write("/home/ada/.ssh/id_open.pub", public(good))
    host.write("/etc/app/one.key", "x", 0o600)
    host.write("/etc/app/two.key", "x", 0o644)
    (host.folder / "etc/app/link.key").symlink_to("/etc/app/two.key")
    (host.folder / "etc/app/one.key").chmod(0o400)
    mine = os.getuid()
    host.write("/etc/passwd", f"{PASSWD}me:x:{mine}:1::/x:/bin/false\n" if mine else PASSWD)
    owner = "me" if mine else "root"
    secrets = [{"path": "/etc/app/*.key", "owner": owner}, {"path": "/etc/app/one.key", "mode": "0400", "owner": "ada"}]
    seen = host.look(private_keys=["/home/*/.ssh/id_*"], secrets=secrets)
    opened = "/home/ada/.ssh/id_open"
    assert of(seen, "private", "secret") == {
        ("private-key-without-passphrase", opened), ("private-key-readable", opened),
        ("secret-mode", "/etc/app/two.key"), ("secret-mode", "/etc/app/link.key"), ("secret-owner", "/etc/app/one.key"),
    }  # fmt: skip
    assert seen.gaps == ()
    assert "no file fits /etc/nothing/*" in host.look(secrets=[{"path": "/etc/nothing/*"}]).gaps[0]
