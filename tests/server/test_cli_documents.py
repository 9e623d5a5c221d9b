"""Files of a configuration are put together into one document, or refused with the file and the cure."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.cli.documents import DocumentError, read_document

HALF = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def document(path: Path) -> Any:
    return json.loads(read_document(path).content)


def test_the_files_of_a_folder_and_of_those_in_it_add_up(tmp_path: Path) -> None:
    files = {
        "a.yaml": "services: {checkout: {samplingStrategy: {type: probabilistic, param: 0.5}}}",
        "b.json": json.dumps({"services": {"cart": HALF}, "default": HALF}),
        "team/c.yml": 'policies:\n  p: {servicePattern: "batch-*"}\n---\nservices: {other: {enabled: false}}\n',
    }
    write(tmp_path, files)
    assert document(tmp_path) == {
        "services": {"checkout": HALF, "cart": HALF, "other": {"enabled": False}},
        "default": HALF,
        "policies": {"p": {"servicePattern": "batch-*"}},
    }


def test_hidden_files_and_others_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "default: {}", ".git/x.yaml": "nonsense: 1", ".x.yaml": "nonsense: 1", "README.md": "# no"})
    assert document(tmp_path) == {"default": {}}


def test_plain_scalars_mean_what_they_mean_in_json(tmp_path: Path) -> None:
    text = "services: {no: {x: yes}, on: {a: 1e-3, b: true, c: 2026-12-01T00:00:00Z, d: 010, e: null, f: .5, g: 12, h: }}"
    write(tmp_path, {"a.yaml": text})
    assert document(tmp_path)["services"] == {
        "no": {"x": "yes"},
        "on": {"a": 0.001, "b": True, "c": "2026-12-01T00:00:00Z", "d": "010", "e": None, "f": 0.5, "g": 12, "h": None},
    }


def test_anchors_and_merges_save_typing(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "services:\n  a: &shared {enabled: true, description: x}\n  b: {<<: *shared, description: y}\n"})
    assert document(tmp_path)["services"]["b"] == {"enabled": True, "description": "y"}


def test_an_export_can_be_read_back_without_its_header(tmp_path: Path) -> None:
    header = {"format": "tracing-config/1", "revision": 7, "commitId": "x", "storeId": "y", "boosts": {}}
    write(tmp_path, {"a.yaml": json.dumps({**header, "services": {"a": HALF}})})
    assert document(tmp_path) == {"services": {"a": HALF}}


def test_a_single_json_file_is_sent_as_it_is(tmp_path: Path) -> None:
    text = '{"services":  {"a": {}, "a": {}}}'
    write(tmp_path, {"a.json": text})
    assert read_document(tmp_path / "a.json").content == text.encode()


def test_a_strategies_file_of_jaeger_may_be_yaml_too_but_stands_alone(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "default_strategy: {type: probabilistic, param: 0.5}"})
    assert document(tmp_path / "a.yaml") == {"default_strategy": {"type": "probabilistic", "param": 0.5}}
    write(tmp_path, {"b.yaml": "services: {}"})
    with pytest.raises(DocumentError, match=r"a\.yaml: is a strategies file in Jaeger's format; give it alone"):
        read_document(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "services: {a: 1, a: 2}", r"line 1, column 18: the key 'a' is given twice"),
        ("a.json", '{"services": {"a": 1, "a": 2}}', "the key 'a' is given twice"),
        ("a.yaml", "services: {1: {}}", "the key 1 is no text; put it in quotes"),
        ("a.yaml", "services: [a]", "services: must map names to records"),
        ("a.yaml", "- services", "must be a mapping"),
        ("a.json", "[1]", "must be a mapping"),
        ("a.yaml", "service: {}", "service: is not known; a file has default, services and policies"),
        ("a.yaml", "services: {a: ", r"line 2, column 1: "),
        ("a.yaml", "services: {a: {}}\n---\nservices: {a: {}}", "services: 'a' is in .*a.yaml too"),
        ("a.yaml", "services: &a {x: *a}", "recursive"),
        ("a.yaml", "services: !!python/object:os.system {}", "constructor"),
        ("a.json", "{", "line 1 column 2"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_file(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DocumentError, match=rf"{name}: .*{said}"):
        read_document(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"services: {\xff: {}}")
    with pytest.raises(DocumentError, match=r"a\.yaml: "):
        read_document(tmp_path)


def test_a_folder_without_files_and_a_file_that_is_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"has no file that ends in \.yaml, \.yml, \.json"):
        read_document(tmp_path)
    with pytest.raises(DocumentError, match="cannot be read: No such file"):
        read_document(tmp_path / "missing.yaml")
