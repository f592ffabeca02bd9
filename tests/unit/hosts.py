"""The root folder of a host as a test makes it, with accounts and sudo rights of every kind."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tasks.base.access import HostAccess
from tasks.host.access import look

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root2:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
postgres:x:110:110::/var/lib/postgresql:/bin/bash
ada:x:1000:1000:Ada:/home/ada:/bin/bash
ben:x:1001:1001::/home/ben:/bin/bash
eve:x:1002:1002::/home/eve:
old:$1$salt$abcdefghijklmnopqrstuv:1003:1003::/home/old:/bin/bash
gone:x:1004:1004::/home/gone:/bin/bash
sync:x:4:65534::/bin:/bin/sync
"""
STRONG = "$y$j9T$salt$hash"
SHADOW = f"""\
root:*:19000:0:99999:7:::
toor:!:19000::::::
daemon:*:19000::::::
postgres:!:19000::::::
ada:{STRONG}:19000:0:99999:7:::
ben:$1$salt$abcdefghijklmnopqrstuv:19000::::::
eve::19000::::::
gone:{STRONG}:19000:::::19500:
sync:*:19000::::::
"""
GROUP = "root:x:0:\nsudo:x:27:ada\nada:x:1000:\ndocker:x:999:ada,ben\n"
SUDOERS = r"""
Defaults env_reset, mail_badpass
User_Alias OPERATORS = ben, \
    gone
Cmnd_Alias SERVICES = /usr/bin/systemctl restart shop, /usr/bin/systemctl status *
Runas_Alias DB = postgres
root ALL=(ALL:ALL) ALL
%sudo ALL=(ALL:ALL) ALL # the usual one
OPERATORS ALL = (root) NOPASSWD: SERVICES, PASSWD: /usr/bin/less, !/bin/sh
eve ALL=(DB) /usr/bin/psql : web1 = NOPASSWD: ALL
@includedir /etc/sudoers.d
"""


class Host:
    """A root folder as a test makes it."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, path, content, mode=0o644):
        place = self.folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
        place.chmod(mode)
        return place

    def look(self, **changes):
        return look(HostAccess(name="web", root=str(self.folder), **changes))


@pytest.fixture
def host():
    # Not below pytest's own folder, into which another account may not look.
    folder, before = Path(tempfile.mkdtemp()), os.umask(0o022)
    folder.chmod(0o755)
    made = Host(folder)
    for path, content, mode in (
        ("/etc/passwd", PASSWD, 0o644), ("/etc/shadow", SHADOW, 0o640), ("/etc/group", GROUP, 0o644),
        ("/etc/sudoers", SUDOERS, 0o440), ("/etc/login.defs", "UID_MIN 1000\n", 0o644),
    ):  # fmt: skip
        made.write(path, content, mode)
    yield made
    os.umask(before)
    shutil.rmtree(folder)


def rules(seen):
    return {(one.rule, one.location.split(" (")[0]) for one in seen.findings}


def of(seen, *names):
    return {(rule, thing) for rule, thing in rules(seen) if rule.startswith(names)}
