"""The server that is shipped, on loopback: answers to good requests, sentences to bad ones."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlactions.export.serving.client import Address, Client
from mlactions.export.serving.start import free_ports
from tests.serving_support import (
    CLASSES,
    TOKENS,
    Served,
    draw,
    embed,
    request,
    serve,
    write_all,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return write_all(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def address(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    limits = {
        "MODEL_SERVER_BODY_BYTES": "200000",
        "MODEL_SERVER_BODY_SECONDS": "1",
        "MODEL_SERVER_CONNECTIONS": "40",
    }
    with serve(served, tmp_path_factory.mktemp("scratch"), limits) as launch:
        found = launch.address()
        assert found is not None
        yield found


def ask(address: Address, body: Any, path: str = "") -> tuple[int, dict[str, Any]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with Client(address, 20.0) as client:
        answer = client.send(path or address.infer, content)
    return answer.status, json.loads(answer.body)


def get(address: Address, path: str) -> tuple[int, dict[str, Any]]:
    with Client(address, 20.0) as client:
        answer = client.send(path)
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 32), (16, 7)])
def test_answers_what_the_model_answers(address: Address, batch: int, length: int) -> None:
    inputs = draw(batch, length, seed=batch)
    status, answer = ask(address, request(inputs, id="one"))
    assert (status, answer["id"], answer["model_name"]) == (200, "one", "Embed")
    expected = embed(**inputs)
    assert [output["name"] for output in answer["outputs"]] == ["logits", "length"]
    for output in answer["outputs"]:
        found = np.array(output["data"]).reshape(output["shape"])
        np.testing.assert_allclose(found, expected[output["name"]], rtol=0, atol=1e-5)


def test_takes_nested_lists_and_gives_only_what_is_wanted(address: Address) -> None:
    inputs = draw(3, 4)
    body = request(inputs, outputs=[{"name": "logits"}])
    for tensor in body["inputs"]:
        tensor["data"] = inputs[tensor["name"]].tolist()
    status, answer = ask(address, body)
    assert status == 200
    assert [output["name"] for output in answer["outputs"]] == ["logits"]


def test_speaks_the_binary_extension(address: Address) -> None:
    inputs = draw(2, 6)
    tensors = [
        {
            "name": name,
            "datatype": "INT64" if name == "tokens" else "FP32",
            "shape": list(array.shape),
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in inputs.items()
    ]
    head = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(array.tobytes() for array in inputs.values())
    connection = http.client.HTTPConnection(address.host, address.port, timeout=20)
    headers = {"Inference-Header-Content-Length": str(len(head))}
    with contextlib.closing(connection):
        connection.request("POST", address.infer, body, headers)
        answer = connection.getresponse()
        content, size = answer.read(), int(answer.headers["Inference-Header-Content-Length"])
    document, tail = json.loads(content[:size]), content[size:]
    sizes = [output["parameters"]["binary_data_size"] for output in document["outputs"]]
    assert sizes == [2 * CLASSES * 4, 2 * 8]
    logits = np.frombuffer(tail[: sizes[0]], "<f4").reshape(2, CLASSES)
    np.testing.assert_allclose(logits, embed(**inputs)["logits"], rtol=0, atol=1e-5)
    assert tail[sizes[0] :] == struct.pack("<2q", 6, 6)


def test_describes_itself(address: Address) -> None:
    assert get(address, "/health/live")[0] == get(address, "/health/ready")[0] == 200
    assert get(address, "/v2/health/live")[0] == get(address, "/v2/health/ready")[0] == 200
    assert get(address, "/v2")[1]["extensions"] == ["binary_tensor_data"]
    status, model = get(address, "/v2/models/Embed/versions/1")
    assert status == 200
    assert model["inputs"][0] == {"name": "tokens", "datatype": "INT64", "shape": [-1, -1]}
    assert model["outputs"][0]["shape"] == [-1, CLASSES]


def _change(**changes: Any) -> dict[str, Any]:
    """Return a request whose first input is changed; None removes a field."""
    body = request(draw(2, 3))
    tensor = {**body["inputs"][0], **changes}
    body["inputs"][0] = {name: value for name, value in tensor.items() if value is not None}
    return body


def _scale(**changes: Any) -> dict[str, Any]:
    body = request(draw(2, 3))
    body["inputs"][1] |= changes
    return body


def _numbers(text: str) -> bytes:
    """Return a request with a number that Python would not write."""
    body = json.dumps(_scale(data=["NUMBER", 1.0]))
    return body.replace('"NUMBER"', text).encode()


HOSTILE: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "not JSON"),
    "nothing": (b"", "not JSON"),
    "no UTF-8": (b"\xff\xfe\x00", "not JSON"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "a list": ([], "has to be a JSON object"),
    "an unknown field": ({"instances": []}, "has no `instances`"),
    "no inputs": ({}, "input `tokens` is missing"),
    "inputs as a mapping": ({"inputs": {}}, "has to be a list"),
    "an input that is a number": ({"inputs": [1]}, "has to be a JSON object"),
    "an unknown input": (_change(name="words"), "no input 'words'"),
    "an input that is no name": (_change(name={"a": 1}), "no input"),
    "an input twice": (
        {"inputs": [request(draw(2, 3))["inputs"][0]] * 2},
        "is given twice",
    ),
    "another type": (_change(datatype="FP32"), "is INT64, not FP32"),
    "no type": (_change(datatype=None), "is INT64, not None"),
    "floats for integers": (_change(data=[1.5] * 6), "holds float, not INT64"),
    "booleans for integers": (_change(data=[True] * 6), "holds bool, not INT64"),
    "strings": (_change(data=["a"] * 6), "holds str"),
    "null": (_change(data=[None] * 6), "holds NoneType"),
    "a data string": (_change(data="AAAA"), "is not 6 values"),
    "an integer too large": (_change(data=[2**63] * 6), "no finite INT64"),
    "too few values": (_change(data=[1] * 5), "is not 6 values"),
    "ragged rows": (_change(data=[[1, 2, 3], [1, 2]]), "is not 6 values"),
    "rows and values": (_change(data=[[1, 2, 3], 4]), "is not 6 values"),
    "too deep rows": (_change(data=[[[1], [2], [3]], [[1], [2], [3]]]), "holds list"),
    "no data": (_change(data=None), "needs either"),
    "no shape": (_change(shape=None), "list of whole numbers"),
    "a shape of floats": (_change(shape=[2.0, 3.0]), "list of whole numbers"),
    "a shape of booleans": (_change(shape=[True, 6]), "list of whole numbers"),
    "too few axes": (_change(shape=[6]), "has 2 axes, not 1: [batch, sequence]"),
    "an empty batch": (_change(shape=[0, 3], data=[]), "axis `batch` is 0, outside 1 to 16"),
    "too large a batch": (_change(shape=[17, 1]), "axis `batch` is 17, outside 1 to 16"),
    "too long a sequence": (_change(shape=[2, 33]), "axis `sequence` is 33, outside 1 to 32"),
    "a huge shape": (_change(shape=[2**62, 2**62]), "outside 1 to 16"),
    "a negative shape": (_change(shape=[-2, -3]), "outside 1 to 16"),
    "two batch sizes": (_scale(shape=[3, 1], data=[1.0] * 3), "axis `batch` is 3 here and 2"),
    "another fixed axis": (_scale(shape=[2, 2], data=[1.0] * 4), "is 1, not 2"),
    "NaN": (_numbers("NaN"), "NaN is no JSON"),
    "infinity": (_numbers("-Infinity"), "-Infinity is no JSON"),
    "a number beyond doubles": (_numbers("1e999"), "no finite FP32"),
    "a number beyond singles": (_numbers("1e39"), "no finite FP32"),
    "an integer beyond doubles": (_numbers("1" + "0" * 400), "no finite FP32"),
    "a number of 5,000 digits": (_numbers("1" * 5000), "not JSON"),
    "a token the model lacks": (_change(data=[TOKENS] * 6), "cannot take these values"),
    "an unknown output": ({**request(draw(1, 1)), "outputs": [{"name": "x"}]}, "output 'x'"),
    "binary without bytes": (
        _change(data=None, parameters={"binary_data_size": 48}),
        "does not fit the body",
    ),
    "a negative binary size": (
        _change(data=None, parameters={"binary_data_size": -1}),
        "does not fit the body",
    ),
    "parameters as a list": ({**request(draw(1, 1)), "parameters": []}, "`parameters`"),
    "an id that is a number": ({**request(draw(1, 1)), "id": 1}, "`id` has to be a string"),
}


@pytest.mark.parametrize(("body", "message"), HOSTILE.values(), ids=HOSTILE)
def test_refuses_with_a_sentence(address: Address, body: Any, message: str) -> None:
    status, answer = ask(address, body)
    assert status == 400
    assert message in answer["error"]
    assert "/onnxruntime_src" not in answer["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/Other/infer", 404),
        ("/v2/models/Embed/versions/2/infer", 404),
        ("/predict", 404),
        ("/v2/models/../../etc/passwd", 404),
        ("/health/live", 405),
    ],
)
def test_refuses_other_places(address: Address, path: str, status: int) -> None:
    found, answer = ask(address, request(draw(1, 1)), path)
    assert found == status
    assert answer["error"]


def test_refuses_a_huge_body_before_it_is_sent(address: Address) -> None:
    """The answer comes although the body never does."""
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        client.sendall(_head(address, "Content-Length: 20000000000"))
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_refuses_a_huge_body_of_unknown_length(address: Address) -> None:
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        client.sendall(_head(address, "Transfer-Encoding: chunked"))
        with contextlib.suppress(OSError):  # the server hangs up while we send
            for _ in range(100):
                client.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_refuses_a_compressed_body(address: Address) -> None:
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        client.sendall(_head(address, "Content-Encoding: gzip\r\nContent-Length: 2") + b"{}")
        assert client.recv(100).startswith(b"HTTP/1.1 415")


@pytest.mark.parametrize("header", ["-1", "a", "9" * 30, "0", "300000"])
def test_refuses_a_wrong_length_of_json(address: Address, header: str) -> None:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    with contextlib.closing(connection):
        headers = {"Inference-Header-Content-Length": header}
        connection.request("POST", address.infer, b"{}", headers)
        answer = connection.getresponse()
        assert (answer.status, "Inference-Header" in answer.read().decode()) == (400, True)


def _head(address: Address, headers: str) -> bytes:
    return f"POST {address.infer} HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n".encode()


@pytest.mark.parametrize("line", [b"X: " + b"a" * 200_000, b"\x00" * 200_000, b"X: a\r\n" * 50_000])
def test_refuses_endless_headers(address: Address, line: bytes) -> None:
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        with contextlib.suppress(OSError):  # the server hangs up while we send
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n" + line)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100)[:12] in {b"HTTP/1.1 400", b""}
    assert get(address, "/health/live")[0] == 200


@pytest.mark.parametrize("sent", [b"", b"POST /v2/mod", b"POST / HTTP/1.1\r\nHost: a\r\n"])
def test_hangs_up_on_a_client_that_never_ends_its_head(address: Address, sent: bytes) -> None:
    started = time.monotonic()
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        client.sendall(sent)
        assert client.recv(100) == b""
    assert 0.5 < time.monotonic() - started < 9


def test_hangs_up_on_a_second_request_that_never_ends(address: Address) -> None:
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while not answer.endswith(b'{"live":true}'):  # head and body may come one by one
            part = client.recv(1000)
            assert part, answer
            answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /health/live HTT")
        assert client.recv(100) == b""


def test_answers_a_client_whose_body_never_comes(address: Address) -> None:
    with socket.create_connection((address.host, address.port), timeout=10) as client:
        client.sendall(_head(address, "Content-Length: 100") + b"{")
        assert client.recv(100).startswith(b"HTTP/1.1 408")


def test_many_clients_get_answers_or_503_and_none_waits_forever(address: Address) -> None:
    body = json.dumps(request(draw(16, 32))).encode()

    def one(_number: int) -> int:
        with Client(address, 30.0) as client:
            return client.send(address.infer, body).status

    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        found = set(pool.map(one, range(300)))
    assert 200 in found
    assert found <= {200, 503}
    assert ask(address, request(draw(1, 1)))[0] == 200


def test_a_full_queue_is_said_at_once(served: Served, tmp_path: Path) -> None:
    """One request that is being sent fills a server that takes no second one."""
    limits = {"MODEL_SERVER_RUNNING": "1", "MODEL_SERVER_WAITING": "1"}
    with serve(served, tmp_path / "scratch", limits) as launch:
        address = launch.address()
        assert address is not None
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                client = socket.create_connection((address.host, address.port), timeout=10)
                stack.enter_context(client)
                client.sendall(_head(address, "Content-Length: 100") + b"{")
            found = _until_503(address)
        assert found == ("1", {"error": "too many requests are under way; try again later"})
        assert ask(address, request(draw(1, 1)))[0] == 200


def _until_503(address: Address) -> tuple[str | None, Any]:
    """Ask until the queue is full; return the header that says when to ask again, and the body."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", address.infer, json.dumps(request(draw(1, 1))))
            answer = connection.getresponse()
            if answer.status == 503:
                return answer.headers["Retry-After"], json.loads(answer.read())
    raise AssertionError("the queue never was full")


def test_a_request_that_takes_too_long_is_ended(served: Served, tmp_path: Path) -> None:
    limits = {"MODEL_SERVER_REQUEST_SECONDS": "0.000001"}
    with serve(served, tmp_path / "scratch", limits) as launch:
        address = launch.address()
        assert address is not None
        status, answer = ask(address, request(draw(1, 1)))
    assert (status, answer["error"]) == (504, "the model took too long")


def test_ends_with_0_after_sigterm_and_answers_what_is_under_way(
    served: Served, tmp_path: Path
) -> None:
    """A request that has begun before the signal gets its answer after it."""
    place = served.out / "serving/onnxruntime"
    (port,) = free_ports(1)
    environ = {"PATH": os.environ["PATH"], "MODEL_SERVER_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "model_server"],
        cwd=place,
        env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(port)
        body = json.dumps(request(draw(1, 1))).encode()
        head = f"POST /v2/models/Embed/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(head.encode() + b"\r\n\r\n" + body[:10])
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            client.sendall(body[10:])
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    variables = {"PATH": os.environ["PATH"], "MODEL_SERVER_PORT": str(port)}
    place = Path(__file__).parent.parent / "scripts/mlactions/export/serving"
    command = [sys.executable, "-m", "model_server.healthy"]
    while subprocess.run(command, cwd=place, env=variables, check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MODEL_SERVER_PORTS": "1"}, "there is no MODEL_SERVER_PORTS"),
        ({"MODEL_SERVER_PORT": "http"}, "MODEL_SERVER_PORT is 'http'"),
        ({"MODEL_SERVER_WAITING": "-1"}, "MODEL_SERVER_WAITING is '-1'"),
        ({"MODEL_SERVER_REQUEST_SECONDS": "nan"}, "MODEL_SERVER_REQUEST_SECONDS is 'nan'"),
    ],
)
def test_refuses_settings_it_cannot_use(
    served: Served, variables: dict[str, str], message: str
) -> None:
    code, text = _run(served.out / "serving/onnxruntime", variables)
    assert code == 2
    assert message in text


def test_does_not_serve_another_file(tmp_path: Path) -> None:
    """A model that was changed after it was proven, also one that still loads."""
    place = write_all(tmp_path).out / "serving/onnxruntime"
    model = place / "model/model.onnx"
    content = model.read_bytes()
    model.unlink()
    model.write_bytes(content.replace(b"embed", b"other"))
    code, text = _run(place, {})
    assert code == 1
    assert "model/model.onnx is not the file that was proven" in text
    assert "startup complete" not in text
    model.unlink()
    code, text = _run(place, {})
    assert code == 1
    assert "No such file" in text


def test_a_taken_port_is_an_error(served: Served, address: Address) -> None:
    code, text = _run(served.out / "serving/onnxruntime", {"MODEL_SERVER_PORT": str(address.port)})
    assert code == 1
    assert "address already in use" in text


def _run(place: Path, variables: dict[str, str]) -> tuple[int, str]:
    (port,) = free_ports(1)
    environ = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    environ |= {"MODEL_SERVER_PORT": str(port), **variables}
    ended = subprocess.run(
        [sys.executable, "-m", "model_server"],
        cwd=place,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stderr


def test_writes_nothing_beside_itself(served: Served, address: Address) -> None:
    """An image may be read-only."""
    assert ask(replace(address), request(draw(1, 1)))[0] == 200
    names = {path.name for path in (served.out / "serving/onnxruntime").rglob("*")}
    assert not {name for name in names if name.endswith((".pyc", ".log"))}
