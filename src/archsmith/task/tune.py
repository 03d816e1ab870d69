"""A training recipe with choices in it, which are searched together with those of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .._support.errors import InputError, unknown
from ..space import Space, choose
from ..space.architecture import Architecture
from ..space.beside import Beside, beside
from ..space.plain import plain
from .options import Recipe
from .ready import READY, ready

#: Scope of the decisions in an architecture: ``recipe.lr``.
SCOPE = "recipe"
#: Fields that say how long training lasts, how it is continued or what a machine can do.
_FIXED = ("epochs", "patience", "amp", "schedule")

#: Options of a field, or weights by option; by optimiser, if they depend on it.
Options = Sequence[Any] | Mapping[Any, float] | Mapping[str, Sequence[Any] | Mapping[Any, float]]


@dataclass(frozen=True)
class Choice:
    """The options of one field of a recipe.

    Attributes:
        options: in order.
        prior: a weight for each; ``None`` if all are alike.
        default: the option of the default architecture.
    """

    options: tuple[Any, ...]
    prior: tuple[float, ...] | None
    default: Any


class RecipeSpace:
    """Which fields of a training recipe a search decides, besides the model.

    Fields that are only named get ready options around the recipe of the task, with a prior centred
    on it; they and those given as options can be mixed::

        nas.RecipeSpace("lr", "weight_decay")
        nas.RecipeSpace("lr", batch_size=[32, 64, 128], label_smoothing={0.0: 2, 0.1: 1})
        nas.RecipeSpace(optimizer=["adamw", "sgd"], lr={"adamw": [1e-3, 2e-3], "sgd": [0.05, 0.1]})

    The options of a field include the recipe's own value, so that the default architecture is
    trained as without a search. If the optimiser is decided too, ready options of ``lr`` and
    ``weight_decay`` are converted for the other one.

    Args:
        names: fields with ready options.
        options: by field: its options; weights by option, which are its prior as in
            :func:`~archsmith.space.choose`; or either of them by optimiser.

    Raises:
        InputError: no field, an unknown one, one that is not searched (``epochs``, ``patience``,
            ``amp``, ``schedule``), or one without options.
    """

    def __init__(self, *names: str, **options: Options) -> None:
        self.names, self.options = names, options
        known = [f.name for f in fields(Recipe) if f.name not in _FIXED]
        asked = [*names, *options]
        if not asked:
            raise InputError("tune", "a field of the recipe", "none", f"one of {', '.join(known)}")
        for name in asked:
            if name in _FIXED:
                raise InputError(
                    "tune",
                    f"fields among {', '.join(known)}",
                    name,
                    "give the recipe itself: recipe=nas.Recipe(...), --final-epochs",
                )
            if name not in known:
                raise unknown("recipe field", name, known)
            if asked.count(name) > 1:
                raise InputError("tune", "each field once", f"{name} twice")
        for name in names:
            if name not in READY:
                hint = f"nas.RecipeSpace({name}=[...])"
                expected = f"a field with ready options ({', '.join(READY)})"
                raise InputError("tune", expected, name, hint)

    def __repr__(self) -> str:
        parts = [*map(repr, self.names), *(f"{n}={v!r}" for n, v in self.options.items())]
        return f"RecipeSpace({', '.join(parts)})"

    def around(self, recipe: Recipe) -> RecipeQuestions:
        """The questions about the fields of this recipe.

        Raises:
            InputError: options that the recipe does not allow, or without its own value.
        """
        optimizers = self._optimizers(recipe)
        choices: dict[str, dict[str, Choice]] = {}
        for name in sorted([*self.names, *self.options], key=lambda n: n != "optimizer"):
            given = self.options.get(name)
            by: dict[str, Choice] = {}
            for optimizer in optimizers if name != "optimizer" else [recipe.optimizer]:
                if given is None:
                    by[optimizer] = Choice(*ready(name, recipe, optimizer))
                else:
                    by[optimizer] = _given(name, recipe, optimizer, given)
            same = all(choice == by[optimizers[0]] for choice in by.values())
            choices[name] = {"": next(iter(by.values()))} if same else by
        return RecipeQuestions(choices, recipe.optimizer)

    def _optimizers(self, recipe: Recipe) -> list[str]:
        """The optimisers that may be chosen, the recipe's own first."""
        if "optimizer" in self.names:
            options = ready("optimizer", recipe, recipe.optimizer)[0]
        elif "optimizer" in self.options:
            options = _given("optimizer", recipe, "", self.options["optimizer"]).options
        else:
            options = (recipe.optimizer,)
        return sorted(options, key=lambda optimizer: optimizer != recipe.optimizer)


class RecipeQuestions:
    """Asks for the searched fields of a recipe, inside the reading of a space.

    Args:
        choices: by field and optimiser; the optimiser is empty if it makes no difference.
        optimizer: of the recipe, used if it is not decided itself.
    """

    def __init__(self, choices: Mapping[str, Mapping[str, Choice]], optimizer: str) -> None:
        self.choices = {name: dict(by) for name, by in choices.items()}
        self.optimizer = optimizer

    def __call__(self) -> None:
        optimizer = self.optimizer
        for name, by in self.choices.items():
            choice = by.get("") or by[optimizer]
            answer = choose(name, choice.options, choice.default, choice.prior)
            optimizer = answer if name == "optimizer" else optimizer

    def to_json(self) -> dict[str, Any]:
        """JSON values, for the record of a study."""
        return {
            "optimizer": self.optimizer,
            "choices": {
                name: {optimizer: asdict(choice) for optimizer, choice in by.items()}
                for name, by in self.choices.items()
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RecipeQuestions:
        """The inverse of :meth:`to_json`. Malformed values raise Python's own errors."""
        known = {f.name for f in fields(Recipe)} - set(_FIXED)
        choices = {
            name: {
                optimizer: Choice(
                    tuple(choice["options"]),
                    None if choice["prior"] is None else tuple(choice["prior"]),
                    choice["default"],
                )
                for optimizer, choice in by.items()
            }
            for name, by in values["choices"].items()
            if name in known
        }
        return cls(choices, values["optimizer"])


def tuned(space: Space, questions: RecipeQuestions) -> Space:
    """The space with the recipe's decisions, ``recipe.…``, which do not change its models.

    Raises:
        InputError: a listed space, or one with decisions of its own in that scope.
    """
    return beside(space, SCOPE, questions)


def recipe_of(space: Space, recipe: Recipe, architecture: Architecture) -> Recipe:
    """The recipe that an architecture is trained with: ``recipe`` with the fields it decides."""
    builder = space.builder.function
    if not isinstance(builder, Beside):
        return recipe
    return replace(recipe, **builder.split(architecture)[1])


def recipe_space(tune: str | Sequence[str] | RecipeSpace | None) -> RecipeSpace | None:
    """The recipe space that an option stands for: itself, or names of fields.

    Raises:
        InputError: as of :class:`RecipeSpace`.
    """
    if tune is None or isinstance(tune, RecipeSpace):
        return tune
    names = tune.split(",") if isinstance(tune, str) else tune
    return RecipeSpace(*(name.strip().replace("-", "_") for name in names))


def _given(name: str, recipe: Recipe, optimizer: str, given: Options) -> Choice:
    """The user's options of a field, checked."""
    if isinstance(given, Mapping) and all(
        isinstance(v, Sequence | Mapping) for v in given.values()
    ):
        if optimizer not in given:
            raise InputError(f"tune, {name}", f"options for {optimizer}", repr(given))
        return _checked(name, recipe, optimizer, given[optimizer])
    return _checked(name, recipe, optimizer or recipe.optimizer, given)


def _checked(name: str, recipe: Recipe, optimizer: str, given: Any) -> Choice:
    own = getattr(recipe, name)
    place = f"tune, {name}"
    if isinstance(given, str) or not isinstance(given, Sequence | Mapping) or not len(given):
        raise InputError(place, "options, or weights by option", repr(given))
    options = tuple(_as(own, plain(option)) for option in given)
    for option in options:
        try:
            replace(recipe, **{name: option})
        except TypeError as error:
            raise InputError(place, f"values like {own!r}", repr(option)) from error
    prior = tuple(given.values()) if isinstance(given, Mapping) else None
    if own in options:
        return Choice(options, prior, own)
    if optimizer == recipe.optimizer:
        raise InputError(
            place,
            f"the recipe's own value {own!r} among the options",
            repr(list(options)),
            f"add it, or begin from another recipe: recipe=nas.Recipe({name}=...)",
        )
    likely = max(zip(prior, options, strict=True))[1] if prior else options[len(options) // 2]
    return Choice(options, prior, likely)


def _as(own: Any, option: Any) -> Any:
    """An option with the type of the recipe's value, where nothing is lost."""
    if isinstance(own, float) and isinstance(option, int) and not isinstance(option, bool):
        return float(option)
    return option
