"""Names of settings that hold secrets, as both sides of a comparison and an analysis hide them."""

from __future__ import annotations

import pytest

from mlactions.confidential import HIDDEN, is_secret, masked

SECRET = (
    *("password", "db.password", "db/passwd", "DB_PASSWORD", "hf_token", "hub.token", "hfToken"),
    *("api_key", "api.key", "apiKey", "hf.api-key", "private_key", "ssh.private.key", "aws.secret"),
    *("aws_secret_access_key", "secret.key", "credentials", "ssh_passphrase", "access_token"),
)
ORDINARY = (
    *("max_tokens", "num_token", "tokenizer.pad_token", "eos_token", "image_token", "key", "lr"),
    *("model.keys", "passes", "monkey", "tokenizer", "secretary.lr", "attention.key", "keystone"),
)


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_setting_is_shown(name: str) -> None:
    assert not is_secret(name)


def test_parameters_are_masked_also_where_one_holds_a_mapping() -> None:
    given = {"db": "{'host': 'a', 'password': 'hunter2'}", "hf_token": "x", "lr": "0.1"}
    given |= {"list": '[{"api.key": "y"}]', "text": "password=z"}
    assert masked(given) == {
        **dict.fromkeys(("db", "hf_token", "list"), HIDDEN),
        "lr": "0.1",
        "text": "password=z",
    }
