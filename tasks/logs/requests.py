"""What an access log tells of requests, one by one and in columns."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Request(NamedTuple):
    """One request: seconds since 1970, and method, path and protocol as they were sent."""

    at: float
    status: int
    source: str
    user: str
    request: bytes


class Requests(NamedTuple):
    """Requests in columns: where in `text` each stands (method, path, protocol), seconds since 1970, and status.

    `who` tells source and user of the request of such a `row`, both empty or - where the log names none.
    """

    text: bytes
    begins: Positions
    ends: Positions
    seconds: Positions
    status: Positions
    rows: Positions
    who: Callable[[int], tuple[str, str]]

    def only(self, rows: Flags) -> "Requests":
        """Those of them."""
        begins, ends, seconds, status, kept = (
            one[rows] for one in (self.begins, self.ends, self.seconds, self.status, self.rows)
        )
        return self._replace(begins=begins, ends=ends, seconds=seconds, status=status, rows=kept)
