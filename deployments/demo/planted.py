"""Folders with things that audits must find; put together here, so that no scan of this project finds them in it."""

from pathlib import Path

# What looks like a key of a cloud provider, and is none.
SECRET = "".join(("k9Jd", "72hf", "LqPz", "XcVb", "Nm81", "QwEr", "TyUi", "OpAs", "DfGh", "JkL2"))
KEY_ID = "AKIA" + "Z7QH2LKDNEPW5VTX"


def plant(folder: Path) -> None:
    """Write a vulnerable lock file, a Dockerfile with faults and a file with a secret into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text("django==1.2\njinja2==3.1.2\n")
    (folder / "Dockerfile").write_text("FROM debian:12\nUSER root\nHEALTHCHECK CMD true\n")
    (folder / "settings.ini").write_text(f'aws_access_key_id = {KEY_ID}\naws_secret_access_key = "{SECRET}"\n')


def plant_host(folder: Path) -> None:
    """Write the accounts of a host into a folder that stands for its root: some as they should be, some not."""
    files = {
        "passwd": "root:x:0:0::/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/bash\n",
        "shadow": "root:*:19000:0:99999:7:::\ntoor:!:19000::::::\nada:!:19000::::::\n",
        "group": "root:x:0:\nsudo:x:27:ada\nada:x:1000:\n",
        "sudoers": "%sudo ALL=(ALL:ALL) ALL\nada ALL=(root) NOPASSWD: /usr/bin/systemctl * shop\n",
    }
    (folder / "etc").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / "etc" / name).write_text(text)
