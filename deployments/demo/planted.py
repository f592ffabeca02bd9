"""A folder with things that scanners must find; put together here, so that no scan of this project finds them in it."""

from pathlib import Path

# What looks like a key of a cloud provider, and is none.
SECRET = "k9Jd72hfLqPz" + "XcVbNm81QwErTyUiOpAsDfGhJkL2"
KEY_ID = "AKIA" + "Z7QH2LKDNEPW5VTX"


def plant(folder: Path) -> None:
    """Write a vulnerable lock file, a Dockerfile with faults and a file with a secret into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text("django==1.2\njinja2==3.1.2\n")
    (folder / "Dockerfile").write_text("FROM debian:12\nUSER root\nHEALTHCHECK CMD true\n")
    (folder / "settings.ini").write_text(f'aws_access_key_id = {KEY_ID}\naws_secret_access_key = "{SECRET}"\n')
