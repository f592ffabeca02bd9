"""The errors a person may see: one small tree, each message one sentence that ends in what to do.

A message says what was tried on what, what came back and what to do next. It never holds a secret
(`tasks.base.secrets.mask` is applied when an error is made) and is shown without a traceback.
"""

from tasks.base.secrets import mask


class NightshiftError(Exception):
    """Anything that Nightshift itself reports; `str(error)` is the whole sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(mask(message))


class ConfigurationError(NightshiftError, ValueError):
    """The system file, a parameter or the environment is wrong; nothing was done."""


class UnreachableError(NightshiftError, ConnectionError):
    """A server or store did not answer; trying again may help."""


class RefusedError(NightshiftError, PermissionError):
    """A server, a store or a lock said no; trying again as it is will not help."""


class MissingError(NightshiftError, LookupError):
    """A thing that was named (backup, object, program) does not exist."""


class ToolFailedError(NightshiftError, RuntimeError):
    """A program ended with an exit code that is not allowed, or past its deadline.

    `retryable` says whether the cause may heal by itself.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class CorruptError(NightshiftError):
    """Bytes are not what their manifest says: a flipped bit, a cut object, a wrong key."""


class IncompleteError(NightshiftError):
    """The work ended, but not all of it was done."""


class StoppedError(NightshiftError):
    """The run was cancelled, or passed its end; what it had begun was ended."""


def may_heal(error: object) -> bool:
    """True for what may heal by itself, so that trying again helps: a server or store that did not answer, a program
    that said so.
    """
    return isinstance(error, UnreachableError) or (isinstance(error, ToolFailedError) and error.retryable)
