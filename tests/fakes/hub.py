"""A Hugging Face Hub on loopback, with answers in the form of the real API's.

    with FakeHub(model("acme/tiny", parameters=4_000_000), dataset("acme/digits")) as hub:
        ...                                         # hub.url goes into HF_ENDPOINT
    assert "/api/models/acme/tiny" in hub.asked

It lists models and data sets page by page (`Link`), filters by tags, task, parameters and gating,
searches names, describes one repository and hands out its README.md. Like the real one it answers
401 for what does not exist, where nobody has logged in, and leads from old names to new ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from tests.fakes.loopback import Handler, Loopback, Reply, Request

Json = dict[str, Any]

PAGE = 1000
"""Repositories on a page, where nobody asks for fewer."""

_ALWAYS = ("_id", "id")
_LISTED = ("likes", "private", "downloads", "tags", "pipeline_tag", "library_name", "createdAt")
_KINDS = {"models": "model", "datasets": "dataset"}
_UNITS = {"K": 10**3, "M": 10**6, "B": 10**9}


@dataclass
class Repository:
    """A repository: what the API says of it, and its README.md."""

    kind: str
    about: Json
    card: str = ""
    old_name: str = ""
    private: bool = False
    scans: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.about["id"])


def sha(name: str) -> str:
    """Return the commit that a repository of this name stands at."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def model(
    name: str,
    *,
    licence: str | Sequence[str] | None = "apache-2.0",
    licence_tags: Sequence[str] | None = None,
    library: str | None = "transformers",
    task: str | None = "image-classification",
    parameters: int | None = 22_000_000,
    files: Mapping[str, int] | None = None,
    metrics: Sequence[Json] = (),
    card: str = "",
    old_name: str = "",
    private: bool = False,
    **more: Any,
) -> Repository:
    """Describe a model as `GET /api/models/{id}?blobs=true` does; `more` replaces properties."""
    listed = files if files is not None else {"config.json": 700, "model.safetensors": 88_000_000}
    card_data = {"license": licence, "library_name": library, "pipeline_tag": task}
    tags = [item for item in (library, task) if item]
    tensors = any(path.endswith(".safetensors") for path in listed)
    tags += ["safetensors"] if tensors else []
    about = _common(name, (licence, licence_tags), card_data, tags, listed)
    about |= {"modelId": name, "pipeline_tag": task, "library_name": library, "config": {}}
    about["config"] = {"architectures": ["ViTForImageClassification"], "model_type": "vit"}
    about["transformersInfo"] = {"auto_model": "AutoModelForImageClassification"}
    about["transformersInfo"]["processor"] = "AutoImageProcessor"
    if parameters is not None and tensors:  # the Hub counts in the headers of such files alone
        about["safetensors"] = {"parameters": {"F32": parameters}, "total": parameters}
    if metrics:
        results = [_result(metric) for metric in metrics]
        about["model-index"] = [{"name": name.rpartition("/")[2], "results": results}]
    return Repository("model", about | more, card, old_name, private)


def _result(metric: Json) -> Json:
    data = {"name": metric.get("dataset", "imagenet-1k"), "type": "imagenet-1k", "split": "test"}
    value = {"type": metric["type"], "value": metric["value"], "name": metric["name"]}
    return {
        "task": {"type": "image-classification", "name": "Image Classification"},
        "dataset": data,
        "metrics": [{**value, "verified": False}],
        **({"source": metric["source"]} if "source" in metric else {}),
    }


def dataset(
    name: str,
    *,
    licence: str | Sequence[str] | None = "mit",
    licence_tags: Sequence[str] | None = None,
    task: str | None = "image-classification",
    splits: Mapping[str, int] | None = None,
    size: str | None = "1K<n<10K",
    files: Mapping[str, int] | None = None,
    card: str = "",
    old_name: str = "",
    private: bool = False,
    scans: Mapping[str, str] | None = None,
    **more: Any,
) -> Repository:
    """Describe a data set as `GET /api/datasets/{id}?blobs=true` does.

    `scans` says what the scanner calls its files; it calls all others safe.
    """
    listed = files if files is not None else {"data/train-00000.parquet": 5_000_000}
    card_data: Json = {"license": licence, "task_categories": [task] if task else []}
    if splits is not None:
        parts = [{"name": key, "num_examples": n, "num_bytes": n} for key, n in splits.items()]
        card_data["dataset_info"] = {"features": [], "splits": parts}
    tags = [f"task_categories:{task}"] if task else []
    tags += [f"size_categories:{size}"] if size else []
    tags += ["library:datasets", "modality:image"]
    about = _common(name, (licence, licence_tags), card_data, tags, listed)
    about["description"] = f"The data set {name}."
    return Repository("dataset", about | more, card, old_name, private, scans or {})


def _common(
    name: str,
    licences: tuple[str | Sequence[str] | None, Sequence[str] | None],
    card_data: Json,
    tags: Sequence[str],
    files: Mapping[str, int],
) -> Json:
    licence, licence_tags = licences
    named = [licence] if isinstance(licence, str) else list(licence or ())
    shown = named if licence_tags is None else licence_tags
    return {
        "_id": sha(name)[:24],
        "id": name,
        "author": name.partition("/")[0],
        "sha": sha(name),
        "lastModified": "2026-05-04T10:11:12.000Z",
        "createdAt": "2025-02-03T04:05:06.000Z",
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": int(sha(name)[:5], 16),
        "likes": 12,
        "tags": [*tags, *(f"license:{item}" for item in shown), "region:us"],
        "cardData": {key: value for key, value in card_data.items() if value is not None},
        "siblings": [_sibling(path, size) for path, size in files.items()],
        "usedStorage": sum(files.values()),
    }


def _sibling(path: str, size: int) -> Json:
    found: Json = {"rfilename": path, "size": size, "blobId": sha(path)}
    if size > 10_000_000:
        digest = hashlib.sha256(path.encode()).hexdigest()
        found["lfs"] = {"sha256": digest, "size": size, "pointerSize": 134}
    return found


def _scan(found: Repository, path: str) -> Json:
    """Describe a file as `POST /api/datasets/{id}/paths-info/{revision}` does with `expand`."""
    status = {"status": found.scans.get(path, "safe"), "avScan": None, "pickleImportScan": None}
    known = {"type": "file", "path": path, "size": 1, "oid": sha(path)}
    return {**known, "securityFileStatus": status}


@dataclass
class Fault:
    """What the Hub does wrong: a reply for the paths that begin with `path`, `times` often."""

    path: str
    reply: Reply
    times: int = 1_000_000


@dataclass
class State:
    """What the Hub holds, who may ask, and what was asked."""

    repositories: list[Repository]
    faults: list[Fault] = field(default_factory=list)
    token: str | None = None
    deleted: set[str] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)


class FakeHub(Loopback):
    """The Hub. With `token`, another one is refused; `deleted` are listed and gone when read."""

    def __init__(
        self, *repositories: Repository, token: str | None = None, page: int = PAGE
    ) -> None:
        super().__init__()
        self.page = page
        self.state = State(list(repositories), token=token)

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [request.path for request in self.state.requests]

    def fail(self, path: str, status: int, *, times: int = 1_000_000, **headers: str) -> None:
        """Answer with an error from now on."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = Reply(status, {"error": f"scripted {status}"}, named)
        self.state.faults.append(Fault(path, reply, times))

    def respond(self, request: Request, handler: Handler) -> None:
        """Answer one request."""
        with self.lock:
            self.state.requests.append(request)
            fault = self._fault(request.path)
        refusal = fault or self._refusal(request)
        parts = unquote(request.path).strip("/").split("/")
        if refusal is not None:
            handler.send(refusal)
        elif "resolve" in parts:
            self._file(parts, handler)
        elif parts[:1] == ["api"] and len(parts) == 2 and parts[1] in _KINDS:
            handler.send(self._listing(_KINDS[parts[1]], handler.path))
        elif parts[:1] == ["api"] and len(parts) > 2 and parts[1] in _KINDS:
            handler.send(self._described(_KINDS[parts[1]], parts[2:], request, handler.path))
        else:
            handler.send(Reply(404, {"error": "Sorry, we can't find the page."}))

    def _fault(self, path: str) -> Reply | None:
        for fault in self.state.faults:
            if path.startswith(fault.path) and fault.times > 0:
                fault.times -= 1
                return fault.reply
        return None

    def _refusal(self, request: Request) -> Reply | None:
        given = request.headers.get("authorization", "")
        if given and self.state.token is not None and given != f"Bearer {self.state.token}":
            said = "Invalid credentials in Authorization header"
            return Reply(401, {"error": said}, {"X-Error-Message": said})
        return None

    def _listing(self, kind: str, target: str) -> Reply:
        query = parse_qs(urlsplit(target).query, keep_blank_values=True)
        found = sorted(
            (item for item in self.state.repositories if _fits(item, kind, query)),
            key=lambda item: (-item.about["downloads"], item.id),
        )
        limit = int(query.get("limit", ["1000"])[0])
        start = int(query.get("cursor", ["0"])[0])
        size = min(limit, self.page)
        page = [_chosen(item.about, query, _LISTED) for item in found[start : start + size]]
        headers = {}
        if start + size < len(found):
            following = urlencode({**query, "cursor": [str(start + size)]}, doseq=True)
            path = f"{self.url}/api/{kind}s?{following}"
            headers["Link"] = f'<{path}>; rel="next"'
        return Reply(200, page, headers)

    def _described(self, kind: str, parts: list[str], request: Request, target: str) -> Reply:
        name = "/".join(parts).partition("/revision/")[0].partition("/paths-info/")[0]
        for item in self.state.repositories:
            if item.kind == kind and item.old_name == name:
                path = request.path.replace(quote(name), quote(item.id))
                query = urlsplit(target).query
                return Reply(307, None, {"Location": f"{path}?{query}"})
        found = self._named(kind, name)
        if found is None:
            # Who has not logged in is told the same of what is private and what is not there.
            status = 404 if request.headers.get("authorization") else 401
            headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            return Reply(status, {"error": "Repository not found"}, headers)
        if "paths-info" in parts and request.method == "POST":
            return Reply(200, [_scan(found, path) for path in parse_qs(request.text)["paths"]])
        given = parse_qs(urlsplit(target).query, keep_blank_values=True)
        return Reply(200, _chosen(found.about, given, tuple(found.about)))

    def _named(self, kind: str, name: str) -> Repository | None:
        if name in self.state.deleted:
            return None
        items = (item for item in self.state.repositories if item.kind == kind)
        return next((item for item in items if item.id == name and not item.private), None)

    def _file(self, parts: list[str], handler: Handler) -> None:
        kind = "dataset" if parts[0] == "datasets" else "model"
        name = "/".join(parts[kind == "dataset" : parts.index("resolve")])
        found = self._named(kind, name)
        revision, path = parts[parts.index("resolve") + 1], parts[-1]
        if found is None or path != "README.md" or not found.card or revision != found.about["sha"]:
            handler.send(Reply(404, {"error": "not found"}, {"X-Error-Code": "EntryNotFound"}))
            return
        data = found.card.encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain; charset=utf-8")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


def _chosen(about: Json, query: Mapping[str, Sequence[str]], otherwise: Sequence[str]) -> Json:
    """Return the properties that were asked for, as the real API does with `expand`."""
    names = [*query.get("expand", ()), *query.get("expand[]", ())]
    if not names and "blobs" not in query and otherwise == tuple(about):
        about = {**about, "siblings": [{"rfilename": f["rfilename"]} for f in about["siblings"]]}
    wanted = (*_ALWAYS, *(names or otherwise))
    return {name: about[name] for name in wanted if name in about}


def _fits(item: Repository, kind: str, query: Mapping[str, Sequence[str]]) -> bool:
    about, tags = item.about, set(item.about["tags"])
    wanted = [part for text in query.get("filter", ()) for part in text.split(",") if part]
    words = " ".join(query.get("search", ())).lower().split()
    return (
        item.kind == kind
        and not item.private
        and all(tag in tags for tag in wanted)
        and all(word in item.id.lower() for word in words)
        and query.get("pipeline_tag", [about.get("pipeline_tag")])[0] == about.get("pipeline_tag")
        and query.get("author", [about["author"]])[0] == about["author"]
        and not (query.get("gated", [""])[0].lower() == "false" and about["gated"])
        and _small(about, query.get("num_parameters", [""])[0])
    )


def _small(about: Json, text: str) -> bool:
    """Say whether a model has as few parameters as `max:100M` allows."""
    if not text:
        return True
    number = text.removeprefix("max:")
    total = about.get("safetensors", {}).get("total")
    return total is not None and total <= int(number[:-1]) * _UNITS[number[-1]]


def from_data(data: Mapping[str, Any]) -> FakeHub:
    """Make a Hub of a description: `models`, `datasets`, `deleted` and `faults`."""
    hub = FakeHub(*_repositories(data), token=data.get("token"))
    hub.state.deleted.update(data.get("deleted", ()))
    for fault in data.get("faults", ()):
        reply = Reply(fault["status"], fault.get("body"), fault.get("headers", {}))
        hub.state.faults.append(Fault(fault["path"], reply, fault.get("times", 1_000_000)))
    return hub


def _repositories(data: Mapping[str, Any]) -> Iterator[Repository]:
    for make, name in ((model, "models"), (dataset, "datasets")):
        for item in data.get(name, ()):
            given = json.loads(json.dumps(item))
            yield make(given.pop("id"), **given)
