"""Comments that silence Trivy are seen wherever they stand, and nothing else is taken for one."""

import pytest

from tasks.scanners.silencers import silenced_places


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"#trivy:ignore:DS-0002\n", [1]),
        (b"a\n\n  # trivy:ignore:AVD-AWS-0089:exp:2030-01-01\n", [3]),
        (b"x = 1 //tfsec:ignore:*\n", [1]),
        (b"{{- /* Trivy:Ignore:KSV-0017 */}}\n\xff\xfe\n# trivy:ignore:KSV-0018\n", [1, 3]),
        (b"we let trivy ignore nothing\ntrivy:ignore:\nmytrivy:ignore:X\n", []),
        (b"", []),
    ],
)
def test_a_comment_is_found_in_its_line(tmp_path, text, lines):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "main.tf").write_bytes(text)
    found = silenced_places(tmp_path, "trivy config app")
    assert [finding.location for finding in found] == [f"below/main.tf:{line}" for line in lines]
    assert {(finding.rule, finding.scope) for finding in found} <= {("silenced-inline", "trivy config app")}


def test_what_git_keeps_and_what_a_link_leads_to_is_not_read(tmp_path):
    for name in (".git/x", "outside/y"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("#trivy:ignore:A\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "link").symlink_to(tmp_path / "outside" / "y")
    (tmp_path / "app" / ".git").symlink_to(tmp_path / ".git")
    assert silenced_places(tmp_path / "app", "trivy config app") == []
