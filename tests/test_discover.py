"""What `discover` decides, without a Hub: words, counts, constraints, code, citations."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlactions.discover.citation import cite, find_bibtex
from mlactions.discover.constraints import check, needs_care, warnings_of
from mlactions.discover.conventions import conventions
from mlactions.discover.counts import at_most_millions, parse_count, show_bytes, show_count
from mlactions.discover.hub import read_endpoint
from mlactions.discover.model import (
    Candidate,
    Citation,
    Constraints,
    Conventions,
    Entry,
    File,
    Kind,
    Outcome,
    Settings,
    Split,
    is_repository,
)
from mlactions.discover.plan import plan
from mlactions.discover.reading import read_entry
from mlactions.discover.search import judge
from mlactions.discover.snippets import snippets
from mlactions.discover.words import MAX_WORDS, TASKS, read_task
from mlactions.errors import UserError
from mlactions.settings import Status

SHA = "0123456789abcdef0123456789abcdef01234567"
MODEL = Entry(
    kind="model",
    id="acme/vit-tiny",
    revision=SHA,
    gated="no",
    licence_card=("apache-2.0",),
    licence_tags=("apache-2.0",),
    library="transformers",
    libraries=("transformers", "safetensors"),
    task="image-classification",
    parameters=5_700_000,
    parameters_from="safetensors",
    headers=True,
    weights=(File("model.safetensors", 22_800_000),),
    modified="2026-05-04",
)
DATA = Entry(
    kind="dataset",
    id="acme/digits",
    revision=SHA,
    gated="no",
    licence_card=("mit",),
    licence_tags=("mit",),
    samples=1797,
    samples_least=1000,
    splits=(Split("train", 1437), Split("test", 360)),
)


def reasons(entry: Entry, **wanted: Any) -> list[str]:
    return [reason.code for reason in check(entry, Constraints(**wanted))]


@pytest.mark.parametrize(
    ("text", "tag", "words"),
    [
        (
            "image classification of handwritten digits",
            "image-classification",
            ("handwritten", "digits"),
        ),
        ("Sentiment analysis in German", "text-classification", ("sentiment", "german")),
        ("translate English to German", "translation", ("english", "german")),
        ("speech-to-text", "automatic-speech-recognition", ()),
        ("zero-shot image classification", "zero-shot-image-classification", ()),
        ("bge-small", "", ("bge-small",)),
        ("automatic-speech-recognition for Swahili", "automatic-speech-recognition", ("swahili",)),
        ("OCR", "image-to-text", ("ocr",)),
        ("a small model for the task", "", ()),
        ("Übersetzung", "", ("übersetzung",)),
        ("one two three four five six", "", ("one", "two", "three", "four")),
        ("zero shot image classification", "zero-shot-image-classification", ()),
        ("tabular churn classification", "tabular-classification", ("churn",)),
        (
            "image classification and tabular regression",
            "image-classification",
            ("tabular", "regression"),
        ),
        ("text to natural german speech", "text-to-speech", ("natural", "german")),
        ("zero shot digit image classification", "image-classification", ("zero", "shot", "digit")),
        ("zero shot digit classification", "zero-shot-classification", ("digit",)),
        ("classification of churn, tabular", "", ("classification", "churn", "tabular")),
        ("image a1 b1 c1 d1 classification", "", ("image", "a1", "b1", "c1")),
        ("spam-detection", "text-classification", ("spam",)),
        ("", "", ()),
    ],
)
def test_a_task_in_words_becomes_the_hub_s_own(text: str, tag: str, words: tuple[str, ...]) -> None:
    assert read_task(text) == (tag, words)


@given(st.text(max_size=200))
def test_any_words_can_be_searched_for(text: str) -> None:
    tag, words = read_task(text)
    assert not tag or tag in TASKS
    assert len(words) <= MAX_WORDS
    assert not any(set(word) & set(" /?&=#\n<>`'\"") for word in words)


@pytest.mark.parametrize(
    ("text", "count"),
    [("100M", 10**8), ("1.5b", 15 * 10**8), ("60_000", 60000), ("60,000", 60000), (" 7 K ", 7000)],
)
def test_counts_are_read_as_people_write_them(text: str, count: int) -> None:
    assert parse_count(text, field="f") == count


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5", "nan", "inf", "1e9", "M", "9" * 50, "1..5M"]
)
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="positive count"):
        parse_count(text, field="max-parameters")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "unknown"),
        (0, "0"),
        (999, "999"),
        (1797, "1.79 k"),
        (66_955_010, "66.9 M"),
        (10**13, "10.0 T"),
    ],
)
def test_counts_are_shown_with_three_digits(number: int | None, shown: str) -> None:
    assert show_count(number) == shown


def test_sizes_have_units() -> None:
    assert [show_bytes(n) for n in (None, 7, 1000, 22_800_000)] == [
        "unknown",
        "7 B",
        "1.00 kB",
        "22.8 MB",
    ]


@given(st.integers(1, 10**15))
def test_the_hub_s_own_limit_drops_nobody_who_holds(number: int) -> None:
    limit = int(at_most_millions(number).removeprefix("max:").removesuffix("M")) * 10**6
    assert number <= limit < number + 10**6


def wanted(task: str, kind: Kind = "model", **constraints: Any) -> Settings:
    return Settings(kind, task, Constraints(**constraints))


def test_the_hub_filters_what_it_can() -> None:
    made = plan(
        wanted(
            "image classification of handwritten digits",
            licences=("mit", "apache-2.0"),
            library="timm",
            max_parameters=10**8,
            safetensors_only=True,
            not_gated=True,
        )
    )
    assert [query.search for group in made.groups for query in group] == [
        *["handwritten digits"] * 2,
        *["handwritten"] * 2,
        *["digits"] * 2,
        *[""] * 2,
    ]
    first = made.groups[0][0]
    assert first.filters == ("timm", "safetensors", "license:mit")
    assert (first.tag, first.parameters, first.open_only) == (
        "image-classification",
        "max:100M",
        True,
    )
    near = made.near[0][0]
    assert (near.search, near.tag, near.filters) == (
        "handwritten digits",
        "image-classification",
        (),
    )


def test_data_sets_have_task_categories() -> None:
    made = plan(wanted("image classification", "dataset", licences=("mit",), min_samples=10))
    assert made.groups == ((replace(made.groups[0][0]),),)
    assert made.groups[0][0].filters == ("task_categories:image-classification", "license:mit")
    assert made.near[0][0].filters == ("task_categories:image-classification",)


def test_nothing_is_searched_for_twice() -> None:
    assert plan(wanted("image classification")).near == ()
    assert plan(wanted("a model for the task")).groups == ()


def test_who_holds_to_everything() -> None:
    assert reasons(MODEL, licences=("mit", "apache-2.0"), max_parameters=5_700_000) == []
    assert reasons(MODEL, library="transformers", safetensors_only=True, not_gated=True) == []
    assert reasons(DATA, licences=("mit",), min_samples=1797, splits=("train", "test")) == []


@pytest.mark.parametrize(
    ("change", "wanted", "expected"),
    [
        ({"revision": "main"}, {}, "revision-unknown"),
        ({"revision": SHA[:7]}, {}, "revision-unknown"),
        ({"revision": ""}, {}, "revision-unknown"),
        ({"disabled": True}, {}, "disabled"),
        ({"unsafe": ("x.bin",)}, {}, "unsafe-file"),
        ({"licence_card": (), "licence_tags": ()}, {"licences": ("mit",)}, "licence-unknown"),
        ({"licence_card": ("mit",)}, {"licences": ("mit", "apache-2.0")}, "licence-disagrees"),
        ({"licence_tags": ()}, {"licences": ("apache-2.0",)}, "licence-disagrees"),
        ({}, {"licences": ("mit",)}, "licence-not-allowed"),
        (
            {"licence_card": ("mit", "gpl-3.0"), "licence_tags": ("mit", "gpl-3.0")},
            {"licences": ("mit",)},
            "licence-not-allowed",
        ),
        ({}, {"library": "timm"}, "library-differs"),
        ({"library": "", "libraries": ()}, {"library": "timm"}, "library-unknown"),
        ({"parameters": None}, {"max_parameters": 10**9}, "parameters-unknown"),
        ({}, {"max_parameters": 5_699_999}, "too-many-parameters"),
        ({"weights": ()}, {"safetensors_only": True}, "no-safetensors"),
        ({"gated": "manual"}, {"not_gated": True}, "gated"),
        ({"gated": "auto"}, {"not_gated": True}, "gated"),
        ({"gated": ""}, {"not_gated": True}, "gated-unknown"),
    ],
)
def test_why_a_model_is_dropped(change: Any, wanted: Any, expected: str) -> None:
    assert reasons(replace(MODEL, **change), **wanted) == [expected]


@pytest.mark.parametrize(
    ("change", "wanted", "expected"),
    [
        ({"samples": None, "samples_least": None}, {"min_samples": 1}, ["samples-unknown"]),
        ({"samples": None, "samples_least": 1000}, {"min_samples": 1000}, []),
        ({"samples": None, "samples_least": 1000}, {"min_samples": 1001}, ["samples-unknown"]),
        ({}, {"min_samples": 1798}, ["too-few-samples"]),
        ({"splits": ()}, {"splits": ("train",)}, ["splits-unknown"]),
        ({}, {"splits": ("train", "validation")}, ["split-missing"]),
    ],
)
def test_why_a_data_set_is_dropped(change: Any, wanted: Any, expected: list[str]) -> None:
    assert reasons(replace(DATA, **change), **wanted) == expected


def test_every_reason_is_named() -> None:
    entry = replace(MODEL, gated="", parameters=None, licence_card=(), licence_tags=())
    found = reasons(entry, licences=("mit",), max_parameters=1, not_gated=True)
    assert found == ["licence-unknown", "parameters-unknown", "gated-unknown"]


def test_the_verdict_names_one_that_can_be_loaded_without_care() -> None:
    risky = replace(MODEL, id="acme/risky", remote_code=True)
    outcome = Outcome(
        plan(Settings("model", "digits", Constraints())),
        (),
        tuple(Candidate(entry, (), Citation("", "card"), ()) for entry in (risky, MODEL)),
        (),
    )
    verdict = judge(outcome, "model")
    assert verdict.status is Status.PASS
    assert MODEL.id in verdict.sentence
    assert "risky" not in verdict.sentence


def test_what_can_run_code_is_said() -> None:
    pickled = replace(MODEL, weights=(), pickles=(File("pytorch_model.bin", 9),))
    assert needs_care(pickled)
    assert "pickles" in warnings_of(pickled)[0]
    assert not needs_care(replace(MODEL, pickles=(File("pytorch_model.bin", 9),)))
    assert needs_care(replace(MODEL, remote_code=True))
    assert warnings_of(MODEL) == ()
    assert "different licences" in warnings_of(replace(MODEL, licence_tags=("mit",)))[0]
    assert "no licence" in warnings_of(replace(MODEL, licence_tags=(), licence_card=()))[0]
    assert "renamed" in warnings_of(replace(MODEL, asked="old/name"))[0]


RAW: dict[str, Any] = {
    "id": "acme/vit",
    "sha": SHA,
    "gated": False,
    "tags": ["timm", "license:mit", "custom_code"],
    "card": {"license": "MIT", "license_name": "x"},
    "library_name": "timm",
    "safetensors": {"total": 12},
    "siblings": [
        {"path": "model.safetensors", "size": 48},
        {"path": "pytorch_model.bin", "size": 50},
        {"path": "optimizer.pt", "size": 90},
        {"path": "tokenizer.bin", "size": 1},
    ],
    "model_index": [
        {
            "results": [
                {
                    "dataset": {"name": "imagenet-1k", "split": "test"},
                    "metrics": [
                        {"type": "accuracy", "value": 0.87654321},
                        {"name": "F1", "value": float("nan")},
                        {"name": "bad", "value": {"x": 1}},
                        {"name": "yes", "value": True},
                    ],
                }
            ]
        }
    ],
}


def test_a_model_is_read() -> None:
    entry = read_entry("model", RAW)
    assert (entry.licence_card, entry.licence_tags, entry.licence) == (
        ("mit",),
        ("mit",),
        "mit (x)",
    )
    assert (entry.parameters, entry.parameters_from, entry.gated) == (12, "safetensors", "no")
    assert [file.path for file in entry.pickles] == ["pytorch_model.bin"]
    assert (entry.files, entry.size, entry.remote_code) == (4, 189, True)
    assert [(m.name, m.value, m.dataset) for m in entry.metrics] == [
        ("accuracy", "0.8765", "imagenet-1k, test"),
        ("F1", "nan", "imagenet-1k, test"),
    ]


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(key=st.sampled_from(sorted(RAW)), value=JSON, kind=st.sampled_from(["model", "dataset"]))
def test_an_answer_of_another_form_leaves_things_unknown(key: str, value: Any, kind: Kind) -> None:
    entry = read_entry(kind, {**RAW, key: value})
    assert entry.kind == kind
    for number in (entry.parameters, entry.size, entry.downloads, entry.samples):
        assert number is None or number >= 0


@given(
    card=st.dictionaries(
        st.sampled_from(["license", "configs", "dataset_info", "size_categories"]), JSON
    )
)
def test_a_card_of_another_form_leaves_things_unknown(card: Any) -> None:
    for kind in ("model", "dataset"):
        read_entry(kind, {**RAW, "card": card})


@pytest.mark.parametrize(
    ("tag", "least"),
    [("10K<n<100K", 10_000), ("n<1K", 0), ("1M<n<10M", 10**6), ("n>1T", 10**12), ("many", None)],
)
def test_size_categories_give_a_lower_end(tag: str, least: int | None) -> None:
    entry = read_entry("dataset", {**RAW, "card": {}, "tags": [f"size_categories:{tag}"]})
    assert (entry.samples, entry.samples_least) == (None, least)


def test_a_data_set_s_default_configuration_counts() -> None:
    def info(name: str, count: int) -> dict[str, Any]:
        return {"config_name": name, "splits": [{"name": "train", "num_examples": count}]}

    card = {
        "dataset_info": [info("small", 10), info("large", 1000)],
        "configs": [{"config_name": "large", "default": True, "data_files": []}],
    }
    entry = read_entry("dataset", {**RAW, "card": card})
    assert (entry.config, entry.samples, entry.splits) == ("large", 1000, (Split("train", 1000),))
    files = {
        "configs": [{"config_name": "default", "data_files": [{"split": "test", "path": "x"}]}]
    }
    entry = read_entry("dataset", {**RAW, "card": files})
    assert (entry.samples, entry.splits) == (None, (Split("test", None),))


@pytest.mark.parametrize(
    "name",
    ["a/b/c", "../x", "a b", "a--b", "x.git", "", "a/", "/a", "a" * 97, "a\nb", "<b>", "-a/b"],
)
def test_what_no_repository_can_be_called(name: str) -> None:
    assert not is_repository(name)


HOSTILE = '"]); import os; os.system("id") #\n<b>'


@pytest.mark.parametrize(
    "library", ["transformers", "timm", "sentence-transformers", "diffusers", "odd", ""]
)
@pytest.mark.parametrize("safe", [True, False])
def test_code_is_code_pins_the_commit_and_runs_nobody_else_s(library: str, *, safe: bool) -> None:
    weights = MODEL.weights if safe else ()
    pickles = (File("pytorch_model.bin", 9), File(HOSTILE, 1))
    entry = replace(
        MODEL, library=library, weights=weights, pickles=pickles, processor="AutoTokenizer"
    )
    python, *config = snippets(entry, Conventions(frozenset({"timm"}), hydra=True))
    ast.parse(python.text)
    assert SHA in python.text
    assert "trust_remote_code" not in python.text
    assert HOSTILE not in python.text
    if library != "timm" or not safe:  # with them timm takes safetensors by itself
        assert ("safetensors" if safe else "weights_only=True") in python.text.replace(
            '"weights_only": True', "weights_only=True"
        )
    for snippet in config:
        document = yaml.safe_load(snippet.text)
        assert SHA in str(document)
        assert document["_target_"].startswith(
            ("transformers.AutoModelForImageClassification", "timm.")
        )


def test_weights_in_parts_are_fetched_together() -> None:
    parts = tuple(File(f"model-0000{n}-of-00002.safetensors", 9) for n in (1, 2))
    (python,) = snippets(replace(MODEL, library="odd", weights=parts), Conventions())
    assert 'allow_patterns=["*.safetensors", "*.json"]' in python.text


@given(config=st.text(max_size=20), split=st.text(max_size=20), script=st.booleans())
def test_code_for_data_is_code(config: str, split: str, *, script: bool) -> None:
    scripts = ("digits.py",) if script else ()
    entry = replace(DATA, config=config, splits=(Split(split, 1),), scripts=scripts)
    for snippet in snippets(entry, Conventions(hydra=True)):
        if snippet.language == "python":
            ast.parse(snippet.text)
        else:
            assert yaml.safe_load(snippet.text)["revision"] == SHA
        assert SHA in snippet.text


def test_what_a_repository_uses_already() -> None:
    found = conventions("torch==2.13\nhydra_core>=1.3\ntransformers[torch]\n# mytimm\n")
    assert found == Conventions(frozenset({"torch", "hydra-core", "transformers"}), hydra=True)
    (python,) = snippets(MODEL, Conventions(frozenset({"timm"})))
    assert "not yet among the dependencies" in python.title
    (python,) = snippets(MODEL, Conventions(frozenset({"transformers"})))
    assert python.title == "With transformers"


CARD = """
# Card
@misc{not-whole, title={x}

```bibtex
@article{tiny2026,
  title={A {Tiny} Model},
  year={2026}
}
```
"""


def test_the_card_s_citation_counts() -> None:
    assert find_bibtex(CARD) == "@article{tiny2026,\n  title={A {Tiny} Model},\n  year={2026}\n}"
    assert cite(MODEL, CARD).source == "card"


@pytest.mark.parametrize(
    "card", ["", "@misc{a", "mail me @ home", "```bibtex\n@evil{x,}\n```", "@misc{a, {"]
)
def test_without_one_address_and_revision_are_cited(card: str) -> None:
    found = cite(MODEL, card)
    assert found.source == "generated"
    assert SHA in found.text
    assert "https://huggingface.co/acme/vit-tiny" in found.text
    assert find_bibtex(found.text) == found.text


@given(st.text(max_size=300))
def test_any_card_can_be_read(card: str) -> None:
    assert cite(MODEL, card).text


@pytest.mark.parametrize(
    "text", ["ftp://hub", "hub.example", "https://a:b@hub", "https://", "https://h/?x=1"]
)
def test_what_is_no_address_of_a_hub(text: str) -> None:
    with pytest.raises(UserError, match="HF_ENDPOINT"):
        read_endpoint(text)


def test_the_hub_s_address() -> None:
    assert read_endpoint("") == "https://huggingface.co"
    assert read_endpoint("https://hub.example.org/mirror/") == "https://hub.example.org/mirror"
