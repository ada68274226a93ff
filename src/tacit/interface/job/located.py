"""YAML whose errors name a line: read strictly, checked against a pydantic model."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tacit.foundation.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def load_config(path: Path, model: type[Model]) -> Model:
    """The file as a model; relative paths in it start from its folder (validation context `folder`).

    Raises: ConfigError with every problem, each with file, line and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot read {path}: {reason}") from None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        data = {} if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path.name}{at}: {error.problem}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{path.name} holds a character that YAML does not allow") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path.name} must be a mapping of keys to values")
    try:
        return model.model_validate(data, context={"folder": path.resolve().parent})
    except ValidationError as error:
        problems = [
            _explain(problem, root, model, path.name)
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise ConfigError("\n".join(problems)) from None


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars, as far as they matter here: `yes` and `no` are text, `1e-3` is a number. No key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands here twice", key.start_mark
                )
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep=deep))


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
    list("-+.0123456789"),
)


def _explain(problem: Any, root: Any, model: type[BaseModel], file: str) -> str:
    location: tuple[int | str, ...] = problem["loc"]
    key = ".".join(f"[{part}]" if isinstance(part, int) else part for part in location).replace(".[", "[")
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        message = f"no such key; {f'did you mean {near[0]!r}?' if near else 'there are ' + ', '.join(known)}"
    elif problem["type"] == "missing":
        message = "this key is required"
    where = f"{file} line {_line(root, location)}"
    return f"{where}: {key}: {message}" if key else f"{where}: {message}"


def _line(node: Any, location: Sequence[int | str]) -> int:
    """The line of the deepest node on the way to a location."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _known_keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Keys that the model at a location has."""
    current: Any = model
    for part in location:
        if isinstance(part, str) and isinstance(current, type) and issubclass(current, BaseModel):
            current = _inner_model(current.model_fields[part].annotation)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in typing.get_args(annotation) if (found := _inner_model(argument))), None)
