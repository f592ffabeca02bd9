"""What a backup's size is compared with."""

from tasks.base.backup import BackupKind
from tasks.postgres.backup.report import usual_bytes
from tasks.repository.manifest import BackupRef, Manifest, StoredFile


def listed(day, size_bytes):
    """A backup as a listing shows it: with manifest and instructions."""
    backup_id = f"202611{day:02}T020000Z-00000001"
    return BackupRef(
        system="acme", database="shop", kind=BackupKind.LOGICAL, backup_id=backup_id, stored_bytes=size_bytes
    )


def manifest(day, data_bytes):
    files = (
        StoredFile(role="archive", key="a", size_bytes=data_bytes, sha256="", raw_bytes=0),
        StoredFile(role="instructions", key="i", size_bytes=3000, sha256="", raw_bytes=0),
    )
    return Manifest.model_construct(backup_id=listed(day, 0).backup_id, files=files)


def test_a_small_backup_is_compared_with_the_data_of_those_before_it_without_what_lies_beside():
    known = [listed(day, 2800 + 5000) for day in range(1, 10)]
    assert usual_bytes(known, manifest(9, 2800)) == 2800


def test_the_first_backup_has_nothing_to_be_compared_with():
    assert usual_bytes([listed(1, 7800), listed(2, 7800)], manifest(1, 2800)) == 0


def test_a_backup_whose_objects_are_gone_makes_those_before_it_no_larger():
    assert usual_bytes([listed(1, 7800), listed(2, 10)], manifest(2, 2800)) == 7800
