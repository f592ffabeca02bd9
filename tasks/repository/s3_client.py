"""The boto3 client of a repository: timeouts, tries, and what stores differ in."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp

from tasks.base.errors import ConfigurationError
from tasks.base.secrets import resolve, resolve_value
from tasks.base.system import RepositoryPolicy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# A store that hangs is given up after four tries of this, the waits between them at most 20 seconds each.
_CONNECT_TIMEOUT_SECONDS = 5.0
_READ_TIMEOUT_SECONDS = 30.0


def client_for(bucket: str, policy: RepositoryPolicy) -> "S3Client":
    """A client with its own session; credentials and endpoint are resolved now, nothing is sent yet."""
    endpoint = resolve_value(policy.endpoint) if policy.endpoint else None
    try:
        return _session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=policy.region or ("us-east-1" if endpoint else None),
            aws_access_key_id=resolve(policy.access_key_id) if policy.access_key_id else None,
            aws_secret_access_key=resolve(policy.secret_access_key) if policy.secret_access_key else None,
            config=Config(
                connect_timeout=_CONNECT_TIMEOUT_SECONDS,
                read_timeout=_READ_TIMEOUT_SECONDS,
                retries={"mode": "standard", "total_max_attempts": 4},
                s3={"addressing_style": "path" if endpoint else "auto"},
                # Stores differ in checksum headers; what is stored is proven by an own SHA-256.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"s3://{bucket} cannot be opened: {error}; correct the system's repository") from None


def _session() -> boto3.Session:
    """A session of its own. botocore guesses the format of each time, which is most of what a long listing costs."""
    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_parse_timestamp)
    return boto3.Session(botocore_session=session)


def _parse_timestamp(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return parse_timestamp(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
