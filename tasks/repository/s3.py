"""A repository in S3 or any store that speaks it: multipart uploads of bounded memory, aborted on any failure."""

from collections.abc import Iterator, MutableSequence, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError, CorruptError, MissingError, RefusedError, UnreachableError
from tasks.base.secrets import resolve, resolve_value
from tasks.base.system import RepositoryPolicy
from tasks.repository.store import ByteSink, ByteSource, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# S3 takes 10,000 parts of at most 5 GiB: doubling the part size every 1,000 parts reaches its 5 TiB in time.
_FIRST_PART_BYTES = 8 * 1024 * 1024
_PARTS_PER_SIZE = 1000
_MISSING = {"404", "NoSuchKey", "NotFound"}
_DENIED = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden"}


def open_s3(bucket: str, prefix: str, policy: RepositoryPolicy) -> "S3Store":
    """A store on that bucket; credentials and endpoint are resolved now, nothing is sent yet."""
    endpoint = resolve_value(policy.endpoint) if policy.endpoint else None
    try:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=policy.region or ("us-east-1" if endpoint else None),
            aws_access_key_id=resolve(policy.access_key_id) if policy.access_key_id else None,
            aws_secret_access_key=resolve(policy.secret_access_key) if policy.secret_access_key else None,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "max_attempts": 4},
                s3={"addressing_style": "path" if endpoint else "auto"},
                # Stores differ in checksum headers; what is stored is proven by an own SHA-256.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"s3://{bucket} cannot be opened: {error}; correct the system's repository") from None
    return S3Store(client, bucket, prefix)


class S3Store:
    """The store protocol on a bucket and prefix."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        self.client, self.bucket, self.prefix = client, bucket, prefix
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")

    @contextmanager
    def writing(self, key: str) -> Iterator[ByteSink]:
        """A streaming write, see Store.writing. The stored size is asked afterwards; a wrong one is CorruptError."""
        upload = _Upload(self, key)
        try:
            yield cast(ByteSink, upload)
            upload.complete()
        except BaseException:
            upload.abort()
            raise
        found = self.stat(key)
        if found.size_bytes != upload.sent_bytes:
            raise CorruptError(
                f"{self.url} says {key} has {found.size_bytes} bytes, {upload.sent_bytes} were sent; "
                "the store is not to be trusted with this object"
            )

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write a small object whole, see Store.put."""
        if only_if_absent and self._exists(key):
            raise RefusedError(f"{key} exists already in {self.url} and is never overwritten")
        condition: Any = {"IfNoneMatch": "*"} if only_if_absent else {}
        with self._translated("write", key):
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, **condition)
        if self.stat(key).size_bytes != len(data):
            raise CorruptError(f"{self.url} says {key} has another size than the {len(data)} bytes that were sent")

    def get(self, key: str) -> bytes:
        """All bytes of a small object, see Store.get."""
        with self.reading(key) as source:
            return source.read()

    @contextmanager
    def reading(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[ByteSource]:
        """A streaming read, see Store.reading."""
        wanted: Any = {}
        if offset or length is not None:
            wanted = {"Range": f"bytes={offset}-{'' if length is None else offset + length - 1}"}
        with self._translated("read", key):
            answer = self.client.get_object(Bucket=self.bucket, Key=self._key(key), **wanted)
        body = answer["Body"]
        try:
            with self._translated("read", key):
                yield cast(ByteSource, body)
        finally:
            body.close()

    def stat(self, key: str) -> StoredObject:
        """Size and time of one object, see Store.stat."""
        with self._translated("read", key):
            found = self.client.head_object(Bucket=self.bucket, Key=self._key(key))
        return StoredObject(key=key, size_bytes=found["ContentLength"], modified_at=found["LastModified"])

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """All objects below a prefix in key order, 1,000 a request; see Store.list."""
        pages = self.client.get_paginator("list_objects_v2")
        with self._translated("list", prefix):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._key(prefix)):
                for found in page.get("Contents", []):
                    yield StoredObject(
                        key=self._relative(found["Key"]), size_bytes=found["Size"], modified_at=found["LastModified"]
                    )

    def delete(self, key: str) -> None:
        """Remove an object with all its versions, see Store.delete."""
        if self.is_locked(key):
            raise RefusedError(f"{key} in {self.url} is under object lock and is kept")
        with self._translated("delete", key):
            for version in self._versions(key):
                self.client.delete_object(Bucket=self.bucket, Key=self._key(key), VersionId=version)
            self.client.delete_object(Bucket=self.bucket, Key=self._key(key))
            for version in self._versions(key):
                self.client.delete_object(Bucket=self.bucket, Key=self._key(key), VersionId=version)

    def is_locked(self, key: str) -> bool:
        """True under a legal hold or an unexpired retention, as HEAD tells; see Store.is_locked."""
        try:
            with self._translated("read", key):
                found = self.client.head_object(Bucket=self.bucket, Key=self._key(key))
        except MissingError:
            return False
        until = found.get("ObjectLockRetainUntilDate")
        held = found.get("ObjectLockLegalHoldStatus") == "ON"
        return held or (until is not None and until > utc_now())

    def free_bytes(self) -> int | None:
        """A bucket has no limit that it tells."""
        return None

    def abort_stale_uploads(self, prefix: str, older_than: datetime) -> Sequence[str]:
        """Abort multipart uploads of killed writers that are older; return their keys."""
        aborted: MutableSequence[str] = []
        with self._translated("list uploads of", prefix), _without_uploads():
            for page in self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self._key(prefix)
            ):
                for found in page.get("Uploads", []):
                    if found["Initiated"] < older_than:
                        self.client.abort_multipart_upload(
                            Bucket=self.bucket, Key=found["Key"], UploadId=found["UploadId"]
                        )
                        aborted.append(self._relative(found["Key"]))
        return aborted

    def _versions(self, key: str) -> Sequence[str]:
        """All versions and delete markers of one key; none where the store has no versions."""
        try:
            page = self.client.list_object_versions(Bucket=self.bucket, Prefix=self._key(key))
        except ClientError:
            return []
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        return [item["VersionId"] for item in found if item["Key"] == self._key(key) and item["VersionId"] != "null"]

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

    @contextmanager
    def _translated(self, what: str, key: str) -> Iterator[None]:
        """Errors of boto3 as one sentence of ours."""
        try:
            yield
        except ClientError as error:
            self._refused(what, key, error)
        except (BotoCoreError, OSError) as error:
            if isinstance(error, RefusedError | UnreachableError):
                raise
            raise UnreachableError(
                f"cannot {what} {key} in {self.url} at {self.client.meta.endpoint_url}: {type(error).__name__}; "
                "look whether the store runs and is reachable from here"
            ) from None

    def _refused(self, what: str, key: str, error: ClientError) -> NoReturn:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code == "NoSuchBucket":
            raise MissingError(
                f"bucket {self.bucket} does not exist at {self.client.meta.endpoint_url}; create it"
            ) from None
        if code in _MISSING:
            raise MissingError(f"object {key} is missing in {self.url}") from None
        if code in ("PreconditionFailed", "412"):
            raise RefusedError(f"{key} exists already in {self.url} and is never overwritten") from None
        if code in _DENIED:
            raise RefusedError(f"{self.url} refuses to {what} {key} ({code}); check key, secret and policy") from None
        raise UnreachableError(f"cannot {what} {key} in {self.url}: the store answered {code}; try again") from None


@contextmanager
def _without_uploads() -> Iterator[None]:
    """Some stores (rclone serve s3 among them) answer the question for unfinished uploads with an error: none."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in ("NoSuchUpload", "NotImplemented"):
            raise


class _Upload:
    """One streaming write: a single put when it is small, else parts whose size grows."""

    def __init__(self, store: S3Store, key: str) -> None:
        self.store, self.key = store, key
        self.buffer = bytearray()
        self.upload_id = ""
        self.parts: list[dict[str, Any]] = []
        self.sent_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        self.buffer += data
        while len(self.buffer) >= self._part_bytes():
            self._send(self._part_bytes())
        return len(data)

    def complete(self) -> None:
        if not self.upload_id:
            self.store.put(self.key, bytes(self.buffer))
            self.sent_bytes = len(self.buffer)
            return
        if self.buffer:
            self._send(len(self.buffer))
        with self.store._translated("write", self.key):
            self.store.client.complete_multipart_upload(
                **self._place(), UploadId=self.upload_id, MultipartUpload={"Parts": cast(Any, self.parts)}
            )

    def abort(self) -> None:
        # The upload is abandoned because of an error that is being reported; the sweep finds what stays.
        if self.upload_id:
            with suppress(ClientError, BotoCoreError, OSError):
                self.store.client.abort_multipart_upload(**self._place(), UploadId=self.upload_id)

    def _part_bytes(self) -> int:
        return int(_FIRST_PART_BYTES * 2 ** (len(self.parts) // _PARTS_PER_SIZE))

    def _send(self, size: int) -> None:
        part, self.buffer = bytes(self.buffer[:size]), self.buffer[size:]
        with self.store._translated("write", self.key):
            if not self.upload_id:
                self.upload_id = self.store.client.create_multipart_upload(**self._place())["UploadId"]
            number = len(self.parts) + 1
            answer = self.store.client.upload_part(
                **self._place(), UploadId=self.upload_id, PartNumber=number, Body=part
            )
        self.parts.append({"ETag": answer["ETag"], "PartNumber": number})
        self.sent_bytes += size

    def _place(self) -> dict[str, Any]:
        return {"Bucket": self.store.bucket, "Key": self.store._key(self.key)}
