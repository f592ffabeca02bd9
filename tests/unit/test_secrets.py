"""Secrets are named by reference and never shown."""

import pytest

from tasks.base.errors import ConfigurationError, RefusedError
from tasks.base.secrets import mask, remember, resolve, resolve_value


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://joe:hunter22@db/shop refused", "hunter22"),
        ("host=db password=hunter22 dbname=shop", "hunter22"),
        ("host=db password='hunter 22' dbname=shop", "hunter 22"),
        ("key AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L failed", "QQPZRY9"),
    ],
)
def test_mask_hides_credentials_by_their_shape(text, secret):
    assert secret not in mask(text)


def test_what_was_resolved_is_masked_in_every_error(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "planted-secret-1")
    assert resolve("env:SHOP_TOKEN") == "planted-secret-1"
    assert "planted-secret-1" not in str(RefusedError("the server said planted-secret-1 is wrong"))


def test_the_longer_secret_is_masked_whole():
    remember("abcd")
    remember("abcdefgh")
    assert mask("x abcdefgh y") == "x ******** y"


def test_references_resolve_from_file_and_fail_with_a_sentence(tmp_path):
    path = tmp_path / "key"
    path.write_text("value-in-file\n")
    assert resolve(f"file:{path}") == "value-in-file"
    with pytest.raises(ConfigurationError, match="env:NOT_SET_ANYWHERE cannot be read"):
        resolve("env:NOT_SET_ANYWHERE")
    path.write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        resolve(f"file:{path}")


def test_a_plain_value_stays_as_it_is():
    assert resolve_value("http://127.0.0.1:9000") == "http://127.0.0.1:9000"
