"""Finding and reading system files."""

import math
import os
from collections.abc import Hashable
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from tasks.base.errors import ConfigurationError
from tasks.base.security import Exemption
from tasks.base.system import Database, RepositoryPolicy, System

DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "deployments" / "systems"


def systems_folder() -> Path:
    """The folder of system files: NIGHTSHIFT_SYSTEMS, or the project's own."""
    return Path(os.environ.get("NIGHTSHIFT_SYSTEMS") or DEFAULT_FOLDER)


def known_systems() -> list[str]:
    """The names of all systems that have a file, sorted."""
    return sorted(path.stem for path in systems_folder().glob("*.yaml") if "." not in path.stem)


def load_system(name: str) -> System:
    """Given the name of a system, return its validated configuration.

    Raises ConfigurationError when there is no such file (the known ones are named) or when it is not valid
    (each wrong key is named with its place).
    """
    if name not in known_systems():
        known = ", ".join(known_systems()) or "none"
        raise ConfigurationError(
            f"unknown system '{name}' in {systems_folder()}; known are: {known}; "
            f"write one with 'nightshift init {name}'"
        )
    return read_system(systems_folder() / f"{name}.yaml")


def system_of_dumps(url: str) -> System:
    """What stands for a system when there are dumps and nothing else: defaults, and nothing is written to the URL.

    Raises ConfigurationError.
    """
    try:
        repository = RepositoryPolicy(url=url)
    except ValidationError as error:
        raise ConfigurationError(f"'{url}': {in_words(error)}") from None
    return System(name="existing-dumps", databases=(Database(name="dump", dsn=""),), repository=repository)


def read_system(path: Path) -> System:
    """The validated configuration in one file. Raises ConfigurationError."""
    data = _yaml(path)
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path} holds no system; write one with 'nightshift init {path.stem}'")
    try:
        system = System.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {in_words(error)}; docs/configuration.md lists every key") from None
    if system.name != path.stem:
        raise ConfigurationError(f"{path} names the system '{system.name}'; file and name must agree")
    return system


def load_exemptions(name: str) -> tuple[Exemption, ...]:
    """The findings that may stay for a while: the list in NAME.exceptions.yaml beside the system's file.

    No file is an empty list. Raises ConfigurationError with the place of each wrong key.
    """
    path = systems_folder() / f"{name}.exceptions.yaml"
    if not path.exists():
        return ()
    data = _yaml(path)
    try:
        return TypeAdapter(tuple[Exemption, ...]).validate_python(data or [])
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {in_words(error)}; docs/security_scan.md shows an entry") from None


def find_database(system: System, name: str) -> Database:
    """The database of that name. Raises ConfigurationError that names the known ones."""
    for database in system.databases:
        if database.name == name:
            return database
    known = ", ".join(database.name for database in system.databases)
    raise ConfigurationError(f"system '{system.name}' has no database '{name}'; it has: {known}")


def in_words(error: ValidationError) -> str:
    """Pydantic's findings as one line, input values left out because they may hold a secret."""
    places = []
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    wrong_inside = {found["loc"][:length] for found in errors for length in range(len(found["loc"]))}
    for found in errors:
        if found["type"] == "too_short" and found["loc"] in wrong_inside:
            continue  # pydantic does not count the entry that is wrong, and there is one
        place = ".".join(str(part) for part in found["loc"]) or "file"
        words = "unknown key" if found["type"] == "extra_forbidden" else found["msg"].removeprefix("Value error, ")
        places.append(f"{place}: {words}")
    return "; ".join(places)


class _Loader(yaml.SafeLoader):
    """YAML whose mappings hold each key once: of two sections of one name the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """See SafeConstructor. Raises MarkedYAMLError that names the place of the second of two equal keys."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key.value}' stands twice,", problem_mark=key.start_mark)
            seen.add((key.tag, key.value if isinstance(key, yaml.ScalarNode) else id(key)))
        return super().construct_mapping(node, deep)

    def construct_finite(self, node: yaml.ScalarNode) -> float:
        """A number to reckon with: a deadline of .inf ends nothing, and nothing is above or below .nan."""
        value = self.construct_yaml_float(node)
        if not math.isfinite(value):
            raise yaml.MarkedYAMLError(
                problem=f"'{node.value}' is no number to reckon with,", problem_mark=node.start_mark
            )
        return value


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_finite)


def _yaml(path: Path) -> object:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is no YAML: {_place(error)}; correct it there") from None
    except RecursionError:
        raise ConfigurationError(f"{path} is no YAML: its brackets are nested too deep; correct it there") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise ConfigurationError(f"{path} cannot be read: {reason}") from None


def _place(error: yaml.YAMLError) -> str:
    """What is wrong in which line; never the line itself, which may hold a secret."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "it holds characters that YAML does not allow"
    return f"{error.problem} in line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
