"""A repository in S3 or any store that speaks it: multipart uploads of bounded memory, aborted on any failure."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError, CorruptError, MissingError, NightshiftError, RefusedError
from tasks.base.system import RepositoryPolicy
from tasks.repository.s3_client import client_for
from tasks.repository.s3_errors import FAILURES, NOT_ANSWERED, code_of, knows_no_condition, sentence, was_retried
from tasks.repository.s3_upload import Upload, body
from tasks.repository.store import ByteSink, ByteSource, DiskSpace, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def open_s3(bucket: str, prefix: str, policy: RepositoryPolicy) -> "S3Store":
    """A store on that bucket; credentials and endpoint are resolved now, nothing is sent yet."""
    return S3Store(client_for(bucket, policy), bucket, prefix)


class S3Store:
    """The store protocol on a bucket and prefix."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        self.client, self.bucket, self.prefix = client, bucket, prefix
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._versioned: bool | None = None

    @contextmanager
    def writing(self, key: str) -> Iterator[ByteSink]:
        """A streaming write, see Store.writing. The stored size is asked afterwards; a wrong one is CorruptError."""
        upload = Upload(self, key)
        try:
            yield upload
            upload.complete()
        except BaseException:
            upload.abort()
            raise
        self._require_size(key, upload.sent_bytes)

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write a small object whole, see Store.put."""
        if only_if_absent:
            # Some stores take the condition and overwrite all the same.
            if self._exists(key):
                raise RefusedError(f"{key} exists already in {self.url} and is never overwritten")
            self._put_if_absent(key, data)
        else:
            with self.translated("write", key):
                self.client.put_object(**self.place(key), **body(data))
        self._require_size(key, len(data))

    def writes_once(self, key: str) -> bool:
        """A conditional put of a key that exists, without looking first; see Store.writes_once."""
        try:
            self._put_if_absent(key, b"second")
        except RefusedError:
            return True
        return False

    def get(self, key: str) -> bytes:
        """All bytes of a small object, see Store.get."""
        with self.reading(key) as source:
            return source.read()

    @contextmanager
    def reading(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[ByteSource]:
        """A streaming read, see Store.reading."""
        wanted = self.place(key)
        if offset or length is not None:
            wanted["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        with self.translated("read", key):
            answer = self._body(wanted)
        try:
            yield _Source(answer, self, key)
        finally:
            answer.close()

    def stat(self, key: str) -> StoredObject:
        """Size and time of one object, see Store.stat."""
        with self.translated("read", key):
            found = self._head(key)
        return StoredObject(key=key, size_bytes=found["ContentLength"], modified_at=found["LastModified"])

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """All objects below a prefix in key order, 1,000 a request; see Store.list."""
        wanted: Any = {"Bucket": self.bucket, "Prefix": self._key(prefix)}
        if after:
            wanted["StartAfter"] = self._key(after)
        with self.translated("list", prefix):
            for page in self.client.get_paginator("list_objects_v2").paginate(**wanted):
                for found in page.get("Contents", []):
                    yield StoredObject(
                        key=self._relative(found["Key"]), size_bytes=found["Size"], modified_at=found["LastModified"]
                    )

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders below a prefix, see Store.folders."""
        found = []
        with self.translated("list", prefix):
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(prefix), Delimiter="/"
            ):
                found += [common["Prefix"].rstrip("/").rpartition("/")[2] for common in page.get("CommonPrefixes", [])]
        return sorted(found)

    def delete(self, key: str) -> None:
        """Remove an object with all its versions, see Store.delete."""
        if self.is_locked(key):
            raise RefusedError(f"{key} in {self.url} is under object lock and is kept")
        with self.translated("delete", key):
            versions = self._versions(key) if self._has_versions() else None
            if versions is None:
                self.client.delete_object(**self.place(key))
            for version in versions or ():
                self.client.delete_object(**self.place(key), VersionId=version)

    def is_locked(self, key: str) -> bool:
        """True under a legal hold or an unexpired retention, as HEAD tells; see Store.is_locked."""
        try:
            with self.translated("read", key):
                if not self._has_versions():
                    return False
                found = self._head(key)
        except MissingError:
            return False
        until = found.get("ObjectLockRetainUntilDate")
        held = found.get("ObjectLockLegalHoldStatus") == "ON"
        return held or (until is not None and until > utc_now())

    def disk_space(self) -> DiskSpace | None:
        """A bucket has no limit that it tells."""
        return None

    def abort_stale_uploads(self, prefix: str, older_than: datetime) -> Sequence[str]:
        """Abort multipart uploads of killed writers that are older; return their keys."""
        aborted = []
        with self.translated("list uploads of", prefix), _without("NoSuchUpload", "NotImplemented"):
            for page in self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self._key(prefix)
            ):
                for found in page.get("Uploads", []):
                    if found["Initiated"] < older_than:
                        with _without("NoSuchUpload"):
                            self.client.abort_multipart_upload(
                                Bucket=self.bucket, Key=found["Key"], UploadId=found["UploadId"]
                            )
                        aborted.append(self._relative(found["Key"]))
        return aborted

    def place(self, key: str) -> dict[str, Any]:
        """Bucket and key as boto3 wants them. Raises ConfigurationError for a key that no folder could hold."""
        if any(part in ("", ".", "..") for part in key.split("/")):
            raise ConfigurationError(f"'{key}' is no key of a repository: it leaves {self.url} or has an empty part")
        return {"Bucket": self.bucket, "Key": self._key(key)}

    @contextmanager
    def translated(self, what: str, key: str) -> Iterator[None]:
        """Errors of boto3 as one sentence of ours; only calls of boto3 stand inside."""
        try:
            yield
        except NightshiftError:
            raise
        except FAILURES as error:
            raise self.error(what, key, error) from None

    def error(self, what: str, key: str, error: Exception) -> NightshiftError:
        """That error of boto3 as one sentence of ours."""
        return sentence(error, what, key, self.url, self.client.meta.endpoint_url)

    def _put_if_absent(self, key: str, data: bytes) -> None:
        with self.translated("write", key):
            try:
                self.client.put_object(**self.place(key), **body(data), IfNoneMatch="*")
            except ClientError as error:
                if knows_no_condition(error):
                    self.client.put_object(**self.place(key), **body(data))
                elif not (was_retried(error) and self._is(key, data)):
                    raise

    def _is(self, key: str, data: bytes) -> bool:
        """True when a first try, whose answer was lost, wrote the object."""
        try:
            return self.get(key) == data
        except MissingError:
            return False

    def _require_size(self, key: str, size_bytes: int) -> None:
        found = self.stat(key)
        if found.size_bytes != size_bytes:
            with suppress(NightshiftError):
                self.delete(key)
            raise CorruptError(
                f"{self.url} says {key} has {found.size_bytes} bytes, {size_bytes} were sent; "
                "look at the store, it is not to be trusted with this object"
            )

    def _head(self, key: str) -> Any:
        return self.client.head_object(**self.place(key))

    def _body(self, wanted: dict[str, Any]) -> Any:
        try:
            return self.client.get_object(**wanted)["Body"]
        except ClientError as error:
            if code_of(error) != "InvalidRange":
                raise
            return BytesIO()

    def _has_versions(self) -> bool:
        """False for a bucket without versions: it has no locks either, and one request deletes. Asked once."""
        if self._versioned is None:
            # Who may not ask, or whom the store does not understand, looks at each object instead.
            self._versioned = True
            with _without(*NOT_ANSWERED):
                self._versioned = "Status" in self.client.get_bucket_versioning(Bucket=self.bucket)
        return self._versioned

    def _versions(self, key: str) -> Sequence[str] | None:
        """All versions and delete markers of one key; None where they cannot be listed."""
        found: list[str] = []
        with _without(*NOT_ANSWERED):
            for page in self.client.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=self._key(key)
            ):
                items = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                found += [item["VersionId"] for item in items if item["Key"] == self._key(key)]
                if any(item["Key"] != self._key(key) for item in items):
                    break
            return found
        return None

    def _exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except MissingError:
            return False
        return True

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _relative(self, key: str) -> str:
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key


class _Source:
    """The body of an answer; its errors are ours, those of its reader are not touched."""

    def __init__(self, body: Any, store: S3Store, key: str) -> None:
        self._body, self._store, self._key = body, store, key

    def read(self, size: int = -1) -> bytes:
        try:
            return bytes(self._body.read(None if size < 0 else size))
        except FAILURES as error:
            raise self._store.error("read on in", self._key, error) from None

    def close(self) -> None:
        self._body.close()


@contextmanager
def _without(*codes: str) -> Iterator[None]:
    """Some stores (rclone serve s3 among them) answer the question for what they do not have with an error: none."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in codes:
            raise
