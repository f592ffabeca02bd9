"""One streaming write into S3: a single put when it is small, else parts whose size grows."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from tasks.base.errors import NightshiftError
from tasks.repository.s3_errors import FAILURES, code_of, was_retried

if TYPE_CHECKING:
    from tasks.repository.s3 import S3Store

# S3 takes 10,000 parts of at most 5 GiB: doubling the part size every 1,000 parts reaches its 5 TiB in time.
FIRST_PART_BYTES = 8 * 1024 * 1024
PARTS_PER_SIZE = 1000


def body(data: bytes | bytearray) -> Any:
    """The arguments that carry these bytes. A bucket with a default retention takes none without their MD5."""
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return {"Body": data, "ContentMD5": base64.b64encode(digest).decode()}


class Upload:
    """Takes bytes, holds at most one part of them, and sends what is full."""

    def __init__(self, store: "S3Store", key: str) -> None:
        self.sent_bytes = 0
        self._store, self._key = store, key
        self._place: Any = store.place(key)
        self._part = bytearray()
        self._upload_id = ""
        self._etags: list[str] = []

    def write(self, data: bytes | memoryview) -> int:
        """Take all of the bytes."""
        view = memoryview(data)
        while view:
            room = self._part_bytes() - len(self._part)
            self._part += view[:room]
            view = view[room:]
            if len(self._part) == self._part_bytes():
                self._send()
        return len(data)

    def complete(self) -> None:
        """Make the object appear."""
        if not self._upload_id:
            with self._store.translated("write", self._key):
                self._store.client.put_object(**self._place, **body(self._part))
            self.sent_bytes = len(self._part)
            return
        if self._part:
            self._send()
        parts = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(self._etags, 1)]
        with self._store.translated("write", self._key), _completed_before():
            self._store.client.complete_multipart_upload(
                **self._place, UploadId=self._upload_id, MultipartUpload={"Parts": cast(Any, parts)}
            )

    def abort(self) -> None:
        """Take back what was sent. An error is being reported already; what cannot be taken back the sweep finds."""
        if self._upload_id:
            with suppress(NightshiftError, *FAILURES):
                self._store.client.abort_multipart_upload(**self._place, UploadId=self._upload_id)

    def _part_bytes(self) -> int:
        return int(FIRST_PART_BYTES * 2 ** (len(self._etags) // PARTS_PER_SIZE))

    def _send(self) -> None:
        with self._store.translated("write", self._key):
            if not self._upload_id:
                self._upload_id = self._store.client.create_multipart_upload(**self._place)["UploadId"]
            answer = self._store.client.upload_part(
                **self._place, **body(self._part), UploadId=self._upload_id, PartNumber=len(self._etags) + 1
            )
        self._etags.append(answer["ETag"])
        self.sent_bytes += len(self._part)
        self._part = bytearray()


@contextmanager
def _completed_before() -> Iterator[None]:
    """A retry finds no upload any more when the answer to the first try was lost; the size check that follows tells."""
    try:
        yield
    except ClientError as error:
        if not (was_retried(error) and code_of(error) == "NoSuchUpload"):
            raise
