"""Where reviews and sign-offs lie: a review is one object of the journal's days, a sign-off a row of the journal."""

from hashlib import sha256

from pydantic import ValidationError

from tasks.access.models import Review, SignOff
from tasks.base.errors import CorruptError, MissingError
from tasks.repository import journal
from tasks.repository.store import Store

_REVIEWS, _SIGN_OFFS = "access_reviews", "access_sign_offs"


class Book:
    """All reviews of a system, the oldest first, and what was decided about them."""

    def __init__(self, store: Store, system: str) -> None:
        """Read the journal. Raises CorruptError for an object of it that cannot be read, or that was changed."""
        self._store, self._system = store, system
        self._stored: dict[str, tuple[Review, str]] = {}
        for item in store.list(f"{system}/history/{_REVIEWS}/"):
            data = store.get(item.key)
            try:
                review = Review.model_validate_json(data)
            except ValidationError:
                raise CorruptError(f"{item.key} is no review; restore it from the store's versions") from None
            self._stored[review.review_id] = (review, sha256(data).hexdigest())
        rows = journal.fold(store, system, _SIGN_OFFS, ("review_id",))
        self._signed = {row["review_id"]: SignOff.model_validate(row) for row in rows}
        self._hold_hashes()

    @property
    def reviews(self) -> list[Review]:
        """All of them, the oldest first."""
        return [review for review, _ in self._stored.values()]

    def review(self, review_id: str) -> tuple[Review, str]:
        """A review and its SHA-256. Raises MissingError that names the newest ones."""
        if review_id not in self._stored:
            known = ", ".join(list(self._stored)[-3:]) or "none"
            raise MissingError(f"system '{self._system}' has no review '{review_id}'; the newest are: {known}")
        return self._stored[review_id]

    def sign_off(self, review_id: str) -> SignOff | None:
        """The last decision about a review; None when nobody has decided."""
        return self._signed.get(review_id)

    def last_signed(self) -> str:
        """Id of the newest review that somebody decided about. Raises MissingError when there is none."""
        found = next((one.review_id for one in reversed(self.reviews) if self.sign_off(one.review_id)), None)
        if found is None:
            raise MissingError(f"no review of '{self._system}' is signed yet; make one: nightshift run access_review")
        return found

    def last_approved(self) -> Review | None:
        """The newest review that somebody approved as a whole."""
        return next((one for one in reversed(self.reviews) if self.is_approved(one)), None)

    def is_approved(self, review: Review) -> bool:
        """True when the last decision about it approves all of it."""
        decided = self.sign_off(review.review_id)
        return decided is not None and decided.decision == "approve"

    def add_review(self, review: Review) -> None:
        """Store a review, once and for ever."""
        data = review.model_dump_json(indent=1).encode()
        key = journal.new_key(self._system, _REVIEWS, f"{review.review_id}.json")
        self._store.put(key, data, only_if_absent=True)
        self._stored[review.review_id] = (review, sha256(data).hexdigest())

    def add_sign_off(self, decided: SignOff) -> None:
        """Record a decision; an earlier one about the same review stays in the journal and no longer counts."""
        journal.append(self._store, self._system, _SIGN_OFFS, [decided.model_dump(mode="json")], decided.run_id)
        self._signed[decided.review_id] = decided

    def _hold_hashes(self) -> None:
        for review_id, decided in self._signed.items():
            _, digest = self._stored.get(review_id, (None, ""))
            if digest != decided.review_sha256:
                raise CorruptError(
                    f"the review {review_id} that {decided.signed_by} signed has the SHA-256 {digest or '(none)'}, "
                    f"not {decided.review_sha256}; restore {self._system}/history/{_REVIEWS} from the store's versions"
                )
