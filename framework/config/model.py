"""The base of every config section: strict, frozen, and closed to unknown keys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    WrapSerializer,
    model_serializer,
)
from pydantic_core import PydanticCustomError

from framework.errors import RegistryError
from framework.registry import Registry

M = TypeVar("M", bound="StrictModel")


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"names '{twice[0]}' twice; name each once")
    return names


UniqueNames: TypeAlias = Annotated[tuple[str, ...], AfterValidator(_each_once)]
"""A list of names of which none appears twice."""


class StrictModel(BaseModel):
    """A config section: no unknown key, no silent conversion, no change after construction."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, ser_json_inf_nan="strings"
    )

    def __init__(self, **values: Any) -> None:
        """Take lists too where a field holds a tuple, as Python code writes them; files are read by ``from_plain``."""
        fields = type(self).model_fields
        super().__init__(
            **{
                name: _as_tuples(value)
                if isinstance(value, list | dict) and name in fields and "tuple" in str(fields[name].annotation)
                else value
                for name, value in values.items()
            }
        )

    @classmethod
    def from_plain(cls: type[M], plain: Any) -> M:
        """Build from YAML-shaped data (dicts, lists, strings, numbers), where lists stand for tuples.

        Raises:
            pydantic.ValidationError: the data do not fit; ``framework.config.load`` turns it into sentences.
        """
        return cls.model_validate_json(json.dumps(plain))

    def plain(self) -> dict[str, Any]:
        """Return the section as YAML-shaped data; ``from_plain`` of it gives an equal object."""
        result: dict[str, Any] = self.model_dump(mode="json")
        return result


CONTRADICTION = "contradiction"


def contradiction(text: str, *at: str) -> PydanticCustomError:
    """Return what a check of a section raises where keys contradict each other.

    Args:
        text: what is wrong, and what to do.
        at: path, from this section on, of the key to name.
    """
    return PydanticCustomError(CONTRADICTION, "{key}: {text}", {"key": ".".join(at), "text": text, "at": list(at)})


class NamedOptions(StrictModel):
    """Options of one registry entry; each declares ``name: Literal["its name"]``, what a config writes to choose it."""

    if TYPE_CHECKING:
        # No field here: it would move ``name`` to the front of every file that holds an entry's options.
        name: str


class WithPlugins(StrictModel):
    """A config that names plugins; written without the key where there is none, as before there were any."""

    plugins: tuple[str, ...] = ()
    """Entry points of the group ``wellstream.plugins``, or files and folders of code; see ``framework.plugins``."""

    @model_serializer(mode="wrap")
    def _without_an_empty_list(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return plain if plain.get("plugins") else {key: value for key, value in plain.items() if key != "plugins"}


def _as_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_as_tuples(item) for item in value)
    return {key: _as_tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


class ShortOptions(NamedOptions):
    """Options of an entry that a config may name by text alone; written back as that text where there is no other."""

    @model_serializer(mode="wrap")
    def _as_short_as_possible(self, handler: SerializerFunctionWrapHandler) -> Any:
        plain = handler(self)
        return plain["name"] if list(plain) == ["name"] else plain


@dataclass(frozen=True)
class Choice:
    """Field metadata: which registry a field picks from; ``framework.config.explain`` reads it to list valid keys.

    Attributes:
        registry: registry of the entries.
        key: key of the mapping, what names the entry.
        default: entry of a mapping without that key; None: the key must be there.
        short: whether text alone may stand for ``{key: text}``.
    """

    registry: Registry[Any]
    key: str = "name"
    default: str | None = None
    short: bool = False

    def entry_name(self, value: Any) -> str | None:
        """Return which entry YAML-shaped ``value`` names; None where it names none."""
        if isinstance(value, str):
            return value if self.short else None
        if not isinstance(value, dict):
            return None
        named = value.get(self.key, self.default)
        return None if named is None else str(named)

    def read(self, value: Any) -> Any:
        """Return the options that YAML-shaped ``value`` describes; options that are built already stay."""
        if isinstance(value, self.registry.options or StrictModel):
            return value
        name = self.entry_name(value)
        if name is None and isinstance(value, dict):
            raise PydanticCustomError(
                "choice_name",
                "missing key '{key}'; expected one of: {names}",
                {"key": self.key, "names": ", ".join(self.registry.names())},
            )
        if name is None:
            text = f"one of: {', '.join(self.registry.names())}; or " if self.short else ""
            raise PydanticCustomError(
                "choice_type", "expected {text}a mapping with the key '{key}'", {"text": text, "key": self.key}
            )
        try:
            entry = self.registry.get(name)
        except RegistryError as error:
            raise PydanticCustomError("choice_unknown", "{text}", {"text": str(error), "key": self.key}) from None
        return entry.config.from_plain({self.key: value} if isinstance(value, str) else value)


def choice(
    registry: Registry[Any],
    *,
    key: str = "name",
    default: str | None = None,
    short: bool = False,
    optional: bool = False,
) -> Any:
    """Return the annotation of a config field that picks a registry entry by its key ``name``.

    The field's value is the entry's own config model, so the entry's options are checked with the rest of the file::

        objective: choice(OBJECTIVES)      # in YAML: {name: triplet_mil, margin: 0.2}

    Args:
        registry: registry of the entries.
        key: what names the entry, where it is not ``name``.
        default: the entry of a mapping without the key.
        short: text alone stands for a mapping with nothing but the key.
        optional: whether null, no entry, is a value too.
    """
    picked = Choice(registry, key, default, short)
    if not optional:
        return Annotated[SerializeAsAny[StrictModel], BeforeValidator(picked.read), picked]

    def read(value: Any) -> Any:
        return None if value is None else picked.read(value)

    return Annotated[SerializeAsAny[StrictModel] | None, BeforeValidator(read), picked]


def choices(registry: Registry[Any], *, key: str = "name", default: str | None = None, short: bool = False) -> Any:
    """Return the annotation of a config field that picks several registry entries, as a tuple, in order.

    A config may write a single entry without a list around it; one entry is written back so. Arguments as of
    ``choice``.
    """
    one = choice(registry, key=key, default=default, short=short)
    return Annotated[
        tuple[one, ...],  # type: ignore[valid-type]
        BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,)),
        WrapSerializer(lambda value, handler: plain[0] if len(plain := handler(value)) == 1 else plain),
    ]
