"""Whether the disk behind a repository will take the next backups."""

from tasks.base.words import CheckResult, Verdict
from tasks.repository.store import Store


def check_disk(store: Store, limit_share: float, next_bytes: int) -> list[CheckResult]:
    """One check: WARN when less than that share is free, or less than the next backups are expected to need.

    None where a store has no disk of its own.
    """
    space = store.disk_space()
    if space is None:
        return []
    advice = "free space there, or let retention keep less"
    message = ""
    if space.free_bytes < next_bytes:
        message = f"{space.free_bytes} bytes are free, and the last backups took {next_bytes}; {advice}"
    elif space.free_share < limit_share:
        message = f"{space.free_share:.1%} of the disk is free, less than the {limit_share:.1%} of the limit; {advice}"
    return [
        CheckResult(
            name="free disk",
            target=store.url,
            verdict=Verdict.WARN if message else Verdict.OK,
            message=message,
            value=round(space.free_share, 4),
            unit="share",
            threshold=limit_share,
        )
    ]
