"""A review of accounts, its lines, and what a person decided about it."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from tasks.base.accounts import Account
from tasks.base.words import Frozen

Decision = Literal["", "approve", "approve-partly", "reject"]
Change = Literal["", "new", "changed", "gone", "not seen"]


class Line(Frozen):
    """One account of the review."""

    account: Account
    change: Change = Field(description="Since the last signed review; 'not seen': its scope was not read, or not whole")
    added: tuple[str, ...] = Field(default=(), description="Rights that it did not have then")
    removed: tuple[str, ...] = Field(default=(), description="Rights that it no longer has")
    since: datetime = Field(description="The first review that saw it with just these rights")
    remarks: tuple[str, ...] = Field(default=(), description="Rules of the audit that it falls under")

    @property
    def name(self) -> str:
        """How a sign-off names it: SCOPE/NAME."""
        return f"{self.account.scope}/{self.account.name}"


class Gap(Frozen):
    """What a review could not see."""

    scope: str
    reason: str = Field(description="With what would settle it")
    failed: bool = Field(description="Nothing of the scope was seen")


class Review(Frozen):
    """One review, as it is stored: immutable, and known by the SHA-256 of its object."""

    system: str
    review_id: str = Field(description="The run that made it")
    made_at: datetime
    scopes: tuple[str, ...]
    gaps: tuple[Gap, ...]
    lines: tuple[Line, ...]
    compared_with: str = Field(default="", description="The signed review that changes are counted from; empty: none")

    @property
    def is_complete(self) -> bool:
        """True when all of every scope was seen; only such a review can be approved."""
        return not self.gaps and bool(self.scopes)


class SignOff(Frozen):
    """What a person decided about a review; it names the review by its hash."""

    review_id: str
    review_sha256: str
    decision: Decision
    signed_by: str
    at: datetime
    inactive: tuple[str, ...] = Field(description="Accounts of the review (SCOPE/NAME) that nobody needs any more")
    note: str
    run_id: str
