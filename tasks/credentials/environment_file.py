"""One NAME=value line of a file such as systemd's EnvironmentFile, Docker's --env-file or .env."""

import re

from tasks.base.errors import ConfigurationError
from tasks.base.password_places import PASSWORD


def password_in(text: str, variable: str, template: str) -> str | None:
    """The password inside the variable's value; None without such a line. Raises ConfigurationError, see below."""
    lines = text.split("\n")
    place = _place_of(lines, variable)
    if place is None:
        return None
    _, value, _ = _parts(lines[place], variable)
    before, after = template.split(PASSWORD)
    if len(value) < len(before) + len(after) or not (value.startswith(before) and value.endswith(after)):
        raise ConfigurationError(
            f"the value of {variable} does not fit the template {template}; correct the template in the system file"
        )
    return value[len(before) : len(value) - len(after)]


def with_password(text: str, variable: str, template: str, password: str) -> str:
    """The file with that password; quotes, `export` and every other line stay as they are.

    Raises ConfigurationError when the variable stands there twice, its value goes over several lines, or it holds
    something else than the template.
    """
    password_in(text, variable, template)
    lines = text.split("\n")
    place = _place_of(lines, variable)
    value = template.replace(PASSWORD, password)
    if place is None:
        line = f"{variable}={value}"
        return "\n".join([*lines, line, ""] if lines[-1] else [*lines[:-1], line, ""])
    before, _, after = _parts(lines[place], variable)
    lines[place] = f"{before}{value}{after}"
    return "\n".join(lines)


def _place_of(lines: list[str], variable: str) -> int | None:
    found = [number for number, line in enumerate(lines) if _assignment(line, variable)]
    if len(found) > 1:
        numbers = ", ".join(str(number + 1) for number in found)
        raise ConfigurationError(f"{variable} stands in lines {numbers} of the file; keep one of them")
    return found[0] if found else None


def _parts(line: str, variable: str) -> tuple[str, str, str]:
    """What stands before the value, the value, and what stands behind it: quotes and white space."""
    match = _assignment(line, variable)
    assert match is not None
    before, rest = match[1], match[2]
    value = rest.strip()
    space = rest[len(rest.rstrip()) :] if value else rest
    before += rest[: len(rest) - len(rest.lstrip())] if value else ""
    if value[:1] not in ("'", '"'):
        return before, value, space
    if len(value) < 2 or value[-1] != value[0]:
        raise ConfigurationError(f"the value of {variable} goes over several lines; write it on one")
    return before + value[0], value[1:-1], value[0] + space


def _assignment(line: str, variable: str) -> re.Match[str] | None:
    return re.match(rf"(\s*(?:export\s+)?{variable}=)(.*)$", line, re.DOTALL)
