"""Whether an age identity opens what the recipients of a system close: asked before a night depends on it."""

import tempfile
from collections.abc import Sequence

from tasks.base.errors import CorruptError, RefusedError
from tasks.repository.local import LocalStore
from tasks.repository.streams import fetching, storing


def check_keys(recipients: Sequence[str], identity: str | None) -> None:
    """Encrypt a few bytes to the recipients, and open them again when there is an identity.

    Raises ConfigurationError (a recipient or the identity is no age key), RefusedError (it opens none of them).
    """
    with tempfile.TemporaryDirectory(prefix="nightshift-keys-") as folder:
        store = LocalStore(folder)
        with storing(store, "probe", level=1, threads=0, recipients=recipients) as stream:
            stream.write(b"nightshift")
        if identity is None:
            return
        try:
            with fetching(
                store, "probe", identity=identity, encrypted=bool(recipients), sha256=None, size_bytes=None
            ) as source:
                source.read()
        except CorruptError:
            raise RefusedError(
                f"the identity opens nothing that is encrypted to {', '.join(recipients)}; set the identity of one of "
                "them, or correct backup.recipients"
            ) from None
