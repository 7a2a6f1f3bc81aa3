"""What holds secrets, as both sides of a comparison and an analysis hide it."""

from __future__ import annotations

import pytest

from mlactions.confidential import HIDDEN, hides, is_secret, masked, without_secrets

SECRET = (
    *("password", "db.password", "db/passwd", "DB_PASSWORD", "hf_token", "hub.token", "hfToken"),
    *("api_key", "api.key", "apiKey", "hf.api-key", "private_key", "ssh.private.key", "aws.secret"),
    *("aws_secret_access_key", "secret.key", "credentials", "ssh_passphrase", "access_token"),
    *("wandb_key", "openai_key", "hf_key", "s3.key", "db_pass", "db.pwd", "dsn", "github_pat"),
    *("connection_string", "connectionString", "auth.password.value", "token", "APIKEY"),
)
ORDINARY = (
    *("max_tokens", "num_token", "tokenizer.pad_token", "eos_token", "image_token", "key", "lr"),
    *("model.keys", "passes", "monkey", "tokenizer", "secretary.lr", "attention.key", "keystone"),
    *("class_token", "use_class_token", "dist_token", "register_token", "prefix_token"),
    *("padding_token", "separator_token", "forward_pass", "compass", "model.key_dim", "query.key"),
)


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret(name)
    assert hides(name, "hunter2")


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_setting_is_shown(name: str) -> None:
    assert not is_secret(name)
    assert not hides(name, "hunter2")


@pytest.mark.parametrize("value", [None, True, False, "None", "true"])
def test_a_switch_is_no_secret(value: object) -> None:
    assert not hides("use_password", value)
    assert not hides("hf_token", value)


@pytest.mark.parametrize("value", [3, 0.5, "12", "<mask>", "[CLS]"])
def test_where_a_name_could_be_either_the_value_tells(value: object) -> None:
    assert not hides("my_token", value)
    assert hides("password", value)


def test_parameters_are_masked_also_where_one_holds_a_mapping() -> None:
    given = {"db": "{'host': 'a', 'password': 'hunter2'}", "hf_token": "x", "lr": "0.1"}
    given |= {"list": '[{"api.key": "y"}]', "padded": " {'db': {'password': 'hunter2'}}"}
    given |= {"pair": "('a', {'password': 'hunter2'})", "cut": "{'a': 1, 'password': {'x': 'hunter"}
    given |= {"deep": '{"password": ' * 60 + "1" + "}" * 60, "auth": '{"password": {"value": "x"}}'}
    assert masked(given) == dict.fromkeys(given, HIDDEN) | {"lr": "0.1"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:hunter2@h/db", f"postgresql://{HIDDEN}@h/db"),
        ("postgresql://u:pa/ss@h/db", f"postgresql://{HIDDEN}@h/db"),
        ("postgresql://u:p@ss@h/db", f"postgresql://{HIDDEN}@h/db"),
        (
            "postgresql://h/db?user=u&password=hunter2",
            f"postgresql://h/db?user=u&password={HIDDEN}",
        ),
        ("host=h password=hunter2 port=1", f"host=h password={HIDDEN} port=1"),
        ("Server=h;PWD='hunter 2';", f"Server=h;PWD={HIDDEN};"),
        ("db:\n  password: hunter2\n  host: h", f"db:\n  password: {HIDDEN}\n  host: h"),
        ("with sk-abcdefghijklmnop1234 in it", f"with {HIDDEN} in it"),
        ("hf_abcdefghijklmnop1234", HIDDEN),
        ("ghp_abcdefghijklmnop1234", HIDDEN),
        ("AKIAABCDEFGHIJKLMNOP", HIDDEN),
        ("eyJhbGciOi.eyJzdWIiOiIx.c2ln", HIDDEN),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", HIDDEN),
    ],
)
def test_secrets_inside_a_text_are_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert masked({"note": text}) == {"note": shown}


@pytest.mark.parametrize(
    "text",
    [
        *("https://a.example/x?y=1", "lr=0.1, key=3", "s3://bucket/a:b", "task-sk-lowercase"),
        *("epoch: 3", "https://a.example:8080/x", "use_password: true", "class_token=learned"),
    ],
)
def test_an_ordinary_text_is_left_alone(text: str) -> None:
    assert without_secrets(text) == text
