"""Opening the store that a system file names."""

from urllib.parse import unquote

from tasks.base.system import RepositoryPolicy
from tasks.repository.local import LocalStore
from tasks.repository.s3 import open_s3
from tasks.repository.store import Store


def open_store(policy: RepositoryPolicy) -> Store:
    """The store behind file:///path or s3://bucket/prefix; references to credentials are resolved here.

    Raises ConfigurationError when a reference cannot be resolved. The store itself is not yet asked anything.
    """
    scheme, _, place = policy.url.partition("://")
    if scheme == "file":
        return LocalStore(unquote(place))
    bucket, _, prefix = place.partition("/")
    return open_s3(bucket, prefix.strip("/"), policy)
