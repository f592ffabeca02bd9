"""Errors of boto3 as one sentence of ours."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from tasks.base.errors import ConfigurationError, MissingError, NightshiftError, RefusedError, UnreachableError

FAILURES = (ClientError, BotoCoreError, ResponseParserError, OSError)
_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, ProfileNotFound)
NOT_IMPLEMENTED = ("501", "NotImplemented")
NOT_ANSWERED = ("403", "AccessDenied", "405", "MethodNotAllowed", *NOT_IMPLEMENTED)
_MEANINGS: tuple[tuple[tuple[str, ...], type[NightshiftError], str], ...] = (
    (("NoSuchBucket",), MissingError, "the bucket of {url} does not exist at {endpoint}; create it"),
    (("404", "NoSuchKey", "NotFound"), MissingError, "object {key} is missing in {url}"),
    (
        ("412", "PreconditionFailed", "ConditionalRequestConflict"),
        RefusedError,
        "{key} exists already in {url} and is never overwritten",
    ),
    (
        ("401", "403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        RefusedError,
        "{url} refuses to {what} {key} ({code}); check key, secret and policy",
    ),
    (
        ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"),
        RefusedError,
        "{url} refuses to {what} {key} ({code}); renew the session's key, secret and token",
    ),
    (("RequestTimeTooSkewed",), RefusedError, "{url} refuses to {what} {key} ({code}); set the clock of this host"),
    (
        ("301", "PermanentRedirect", "AuthorizationHeaderMalformed"),
        ConfigurationError,
        "cannot {what} {key} in {url}: its bucket lies in another region ({code}); set repository.region",
    ),
)
_OTHERWISE = "cannot {what} {key} in {url}: the store answered {code}; try again, and read its log when that stays"


def code_of(error: ClientError) -> str:
    """The code of an answer: S3's word where there is a body, else the number."""
    return str(error.response.get("Error", {}).get("Code", ""))


def knows_no_condition(error: ClientError) -> bool:
    """True when the store does not implement conditional writes and says so."""
    return code_of(error) in NOT_IMPLEMENTED


def was_retried(error: ClientError) -> bool:
    """True when an earlier try may have been carried out although its answer was lost."""
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


def sentence(error: Exception, what: str, key: str, url: str, endpoint: str) -> NightshiftError:
    """What was tried on what, what came back, what to do next."""
    key = key or "all"
    if isinstance(error, ClientError):
        code = code_of(error)
        found = ((kind, text) for codes, kind, text in _MEANINGS if code in codes)
        kind, text = next(found, (UnreachableError, _OTHERWISE))
        return kind(text.format(what=what, key=key, url=url, endpoint=endpoint, code=code))
    tried = f"cannot {what} {key} in {url}"
    if isinstance(error, _CREDENTIALS):
        return ConfigurationError(
            f"{tried}: there is no access key; set repository.access_key_id and secret_access_key, or AWS's own places"
        )
    if isinstance(error, ParamValidationError):
        return ConfigurationError(f"{tried}: bucket or key is no valid name; correct the system's repository.url")
    return UnreachableError(
        f"{tried} at {endpoint}: {type(error).__name__}; look whether the store runs and is reachable from here"
    )
