"""One sentence for what the parser refuses.

jsonargparse answers a mistyped option with 130 lines of usage, and a wrong value with all the types that
it tried. What a user needs is the option, the value, what is allowed, and the nearest name.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, override

from lightning.pytorch.cli import LightningArgumentParser

from viscy_data import InvalidInputError, suggest

_EXTRAS = ("tensorboard", "wandb", "mlflow")
"""Of viscy-train, by the package that each brings."""

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "null",
    "dict": "a mapping",
    "list": "a list",
}
_HELP = "viscy-train fit --help-all lists all options."


class PlainParser(LightningArgumentParser):
    """A parser that refuses in one sentence."""

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the sentence.

        Raises
        ------
        InvalidInputError
            Always.
        """
        if isinstance(ex, InvalidInputError):  # a parser inside has said it already
            raise ex
        if not self.exit_on_error:  # a parser inside, whose errors jsonargparse collects
            super().error(message, ex)
        options = [name for action in self._actions for name in action.option_strings]
        raise InvalidInputError(sentence(message, options)) from ex


def sentence(message: str, options: Sequence[str]) -> str:
    r"""Return what a parser's message says, in one sentence.

    Parameters
    ----------
    message : str
        Of jsonargparse.
    options : sequence of str
        All that there are, such as ``--model.loss.beta``.

    Examples
    --------
    >>> sentence("unrecognized arguments: --model.los.beta=1", ["--model.loss.beta"])
    "--model.los.beta: there is no such option. Did you mean '--model.loss.beta'?"
    >>> sentence('Parser key "data.seed":\n  Expected a <class \'int\'>. Got value: x', [])
    "data.seed='x': a whole number is allowed."
    """
    for pattern, build in _BUILDERS:
        found = re.search(pattern, message, re.DOTALL)
        said = None if found is None else build(found, options)
        if said is not None:
            return str(said)
    return f"{' '.join(message.split())[:300].rstrip('.!')}. {_HELP}"


def _unknown(found: re.Match[str], options: Sequence[str]) -> str:
    given = found["name"].split()[0].partition("=")[0]
    if not given.startswith("-"):
        return f"{given!r}: there is nothing for it to belong to; options begin with --. {_HELP}"
    return f"{given}: there is no such option.{_nearest(given, options)}"


def _unknown_key(found: re.Match[str], options: Sequence[str]) -> str:
    key = found["name"].removeprefix("fit.")
    near = _nearest(f"--{key}", options).replace("'--", "'")
    return f"{key}: a configuration holds it, and there is no such option.{near}"


def _nearest(given: str, options: Iterable[str]) -> str:
    return suggest(given, options) or f" {_HELP}"


def _missing(found: re.Match[str], options: Sequence[str]) -> str:  # noqa: ARG001 one of several
    names = [name.strip().removeprefix("fit.") for name in found["name"].split(",")]
    hint = ": the anchors table that viscy-data index wrote" if names == ["data.anchors"] else ""
    return f"--{', --'.join(names)} is needed{hint}."


def _wrong_file(found: re.Match[str], options: Sequence[str]) -> str:  # noqa: ARG001 one of several
    return (
        f"--config {found['name']!r}: no such file, and none of the package, which has 'small', 'fit' and, "
        "on top of another, 'strong'. It must be on this machine; nothing is fetched."
    )


def _wrong_yaml(found: re.Match[str], options: Sequence[str]) -> str:  # noqa: ARG001 one of several
    return f"a configuration is not YAML: {' '.join(found['name'].split()).replace('<unicode string>', 'it')}"


def _wrong_class(found: re.Match[str], options: Sequence[str]) -> str:  # noqa: ARG001 one of several
    key = _key(found.string)
    reason = " ".join(found["reason"].split())
    return f"{key}{found['name']!r} cannot be used: {_installed(reason)}"


def _not_a_class(found: re.Match[str], options: Sequence[str]) -> str:  # noqa: ARG001 one of several
    return f"{_key(found.string)}{found['name']!r} is not a {found['kind']}."


def _wrong_value(found: re.Match[str], options: Sequence[str]) -> str | None:  # noqa: ARG001 one of several
    allowed = [_kind(kind) for kind in re.findall(r"Expected a (.+?)(?:\. Got value|\n|$)", found.string)]
    if not allowed:
        return None
    named = re.search(r"'class_path': '([^']+)'", found.string)
    if named:
        return f"{found['name']}={named[1]!r} is not a class that can be used there."
    value = re.search(r"(?:Got value|Given value): (.*)", found.string)
    shown = "" if value is None else f"={value[1].strip()[:60]!r}"
    return f"{found['name']}{shown}: {' or '.join(dict.fromkeys(allowed))} is allowed."


def _kind(text: str) -> str:
    literal = re.match(r"typing\.Literal\[(.*)\]", text)
    if literal:
        return f"one of {literal[1]}"
    name = text.removeprefix("<class '").removesuffix("'>")
    return _KINDS.get(name, name.rpartition(".")[2] if "[" not in name else name.replace("typing.", ""))


def _key(message: str) -> str:
    found = re.search(r'Parser key "([^"]+)"', message)
    return "" if found is None else f"{found[1].removeprefix('fit.')}="


def _installed(reason: str) -> str:
    """Say what to install, where a package is missing."""
    extra = next((one for one in _EXTRAS if re.search(rf"(Requirement|named) '{one}", reason)), None)
    if extra:
        return f"{extra} is not installed; install it by: uv pip install 'viscy-train[{extra}]'"
    wanted = re.search(r"Requirement '([A-Za-z0-9_-]+)", reason)
    if wanted:
        return f"{wanted[1]} is not installed; install it, such as by: uv pip install {wanted[1]}"
    needed = re.search(r"following arguments are required: (.*)", reason)
    if needed:
        return f"it needs init_args: {needed[1].rstrip('.')}"
    return reason if reason.endswith(".") else f"{reason}."


_BUILDERS: tuple[tuple[str, Any], ...] = (
    (r"[Uu]nrecognized arguments: (?P<name>.+)", _unknown),
    (r"does not accept (?:nested key|option) ['\"](?P<name>[^'\"]+)['\"]", _unknown_key),
    (r"arguments are required: (?P<name>.+)", _missing),
    (r"Parser key \"(?:fit\.)?(?:c|config)\": .*?: ['\"]?(?P<name>[^'\"\n]+)", _wrong_file),
    (r"Problems parsing config: (?P<name>.+)", _wrong_yaml),
    (r"Problem with given class_path '(?P<name>[^']+)':\s*(?P<reason>.+?)(?:\n\s*- |$)", _wrong_class),
    (r"Import path (?P<name>\S+) does not correspond to a subclass of (?P<kind>\w+)", _not_a_class),
    (r"Parser key \"(?:fit\.)?(?P<name>[^\"]+)\":", _wrong_value),
)
