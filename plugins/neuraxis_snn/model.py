"""Models of neurons as data: parameters, state, and the equations of one step as text.

A step of a population runs, neuron by neuron: `update`, then `threshold`, then `after`. They may read

    parameters and constants   numbers of the population
    states                     numbers of the neuron; `update` and `after` write them
    inputs                     what arrives at the neuron in this step, the sum over all synapses
    active                     whether the neuron is not refractory
    spiked                     (`after` only) whether it crossed the threshold in this step
    learning                   whether the network learns
    draw                       a fresh uniform whole number 0 … 2**24 - 1; see `noise`
    step                       the number of the step, from 0

`slowly` runs once every `period`, before `update`: for what changes over minutes.
A refractory neuron is one that spiked less than `refractory` ago.

Determinism: exact. See `expressions` for the language.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from typing import Any, Final, final

from msgspec import Struct

from neuraxis.errors import InputError, suggestion
from neuraxis_snn import expressions
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.numbers import DIGITS, decimal_of

Constants = Callable[[Mapping[str, Decimal], Decimal], Mapping[str, Decimal]]

GIVEN: Final = ("active", "spiked", "learning", "draw", "step")

ENGINES: Final = ("hold", "ring", "count")
"""Arrays that an engine keeps for every population beside its states."""

LARGEST: Final = Decimal("1e38")
"""Numbers of a model stay below it: single precision holds no larger ones."""


@final
class Value(Struct, frozen=True):
    """A parameter of a model.

    Attributes:
        default: A quantity as text, or a number.
        unit: Its unit; None for a plain number.
        help: What it is.
        above: What it must exceed, in that unit; None if it may be anything finite. Time constants say 0.
    """

    default: str | float
    unit: str | None
    help: str
    above: float | None = None

    @property
    def description(self) -> str:
        """What to write."""
        return f'a quantity such as "{self.default}"' if self.unit is not None else "a number"


def no_constants(_parameters: Mapping[str, Decimal], _dt: Decimal) -> Mapping[str, Decimal]:
    """Derive nothing."""
    return {}


@final
class Model(Struct, frozen=True):
    """A model of neurons.

    Attributes:
        name: For people and errors.
        parameters: By name.
        states: Name to initial value: a number, or the name of a parameter or constant.
        inputs: Names of the kinds of input that synapses may deliver.
        update, threshold, after: The equations of a step.
        constants: Derives further numbers from the parameters and the step in ms; decimals have 50 digits in it.
        refractory: Parameter with the refractory time in ms; empty if there is none.
        slowly, period: What runs now and then, and the parameter with its period in ms.
        source: Where the model comes from.
        scheme: How the equations are integrated over a step.
        order: Order in which the states between spikes converge as steps get shorter; 0 says that they are exact at
            any step, None that the model has no other form than its steps. `convergence.measured_order` measures it.
    """

    name: str
    parameters: Mapping[str, Value]
    states: Mapping[str, float | str]
    inputs: tuple[str, ...]
    update: str
    threshold: str
    after: str = ""
    constants: Constants = no_constants
    refractory: str = ""
    slowly: str = ""
    period: str = ""
    source: str = ""
    scheme: str = ""
    order: int | None = None

    def numbers(self, written: Mapping[str, Any], dt: Decimal) -> dict[str, Decimal]:
        """Return parameters and constants as decimals, in the units of the model.

        Args:
            written: Parameters that differ from their defaults: quantities as text, or numbers in the model's units.
            dt: Length of a step, ms.

        Raises:
            NetworkInvalid: A parameter is unknown, no such quantity, not finite or out of its bounds.
        """
        for name in written:
            if name not in self.parameters:
                raise NetworkInvalid(
                    subject=f"model {self.name}",
                    reason=f"it has no parameter {name!r}",
                    remedy=suggestion(name, self.parameters),
                )
        found = {}
        for name, value in self.parameters.items():
            try:
                found[name] = decimal_of(written.get(name, value.default), value.unit)
            except (InputError, ValueError) as error:
                raise NetworkInvalid(
                    subject=f"model {self.name}, parameter {name}",
                    reason=str(error),
                    remedy=f"Write {value.description}.",
                ) from error
            self._check_number(f"parameter {name}", found[name], value)
        try:
            with localcontext(DIGITS):
                constants = self.constants(found, dt)
        except ArithmeticError as error:
            raise NetworkInvalid(
                subject=f"model {self.name}",
                reason=f"its constants cannot be computed from these parameters ({type(error).__name__})",
                remedy="Use time constants above 0, and nothing that divides by 0.",
            ) from error
        for name, constant in constants.items():
            self._check_number(f"constant {name}", constant)
        return {**found, **constants}

    def _check_number(self, what: str, number: Decimal, value: Value | None = None) -> None:
        unit = f" {value.unit}" if value is not None and value.unit is not None else ""
        subject = f"model {self.name}, {what}"
        if not number.is_finite() or abs(number) > LARGEST:
            reason = f"it is {number:.3g}{unit}" if number.is_finite() else f"it is {number}"
            raise NetworkInvalid(subject=subject, reason=reason, remedy="Use finite numbers below 1e38.")
        if value is not None and value.above is not None and number <= Decimal(repr(float(value.above))):
            remedy = f"Use more than {value.above:g}{unit}, such as {value.default}."
            raise NetworkInvalid(subject=subject, reason=f"it is {number:f}{unit}", remedy=remedy)

    def _check_names(self, names: list[str]) -> None:
        for index, name in enumerate(names):
            if name in names[:index] or not _is_usable(name):
                reason = f"the name {name!r} is taken" if name.isidentifier() else f"{name!r} is no name"
                raise NetworkInvalid(
                    subject=f"model {self.name}",
                    reason=reason,
                    remedy="Give parameters, constants, states and inputs names of their own.",
                )
        for state, initial in self.states.items():
            if isinstance(initial, str) and initial not in names:
                raise NetworkInvalid(
                    subject=f"model {self.name}, state {state}",
                    reason=f"it begins as {initial!r}, which is no parameter or constant",
                    remedy=suggestion(initial, names),
                )
            if not isinstance(initial, str) and not abs(initial) <= float(LARGEST):
                raise NetworkInvalid(
                    subject=f"model {self.name}, state {state}",
                    reason=f"it begins as {initial}",
                    remedy="Use finite numbers below 1e38.",
                )

    def program(self, numbers: Mapping[str, Decimal]) -> Program:
        """Parse the equations.

        Raises:
            NetworkInvalid: An equation is none, or names something unknown; or two things have one name.
        """
        subject = f"model {self.name}"
        self._check_names([*numbers, *self.states, *self.inputs])
        given = {*numbers, "active", "learning", "draw", "step"}
        during = {*given, *self.inputs}
        update = expressions.statements(self.update, subject=subject, known=during, writable=self.states)
        local = {each.target for each in update}
        names = {*during, *self.states, *local}
        after = expressions.statements(
            self.after, subject=subject, known={*during, "spiked"}, writable={*self.states, *local}
        )
        return Program(
            slowly=expressions.statements(self.slowly, subject=subject, known=given, writable=self.states),
            update=update,
            threshold=expressions.condition(self.threshold, subject=subject, known=names),
            after=after,
        )


def _is_usable(name: str) -> bool:
    taken = name in GIVEN or name in ENGINES or name in expressions.RESERVED or keyword.iskeyword(name)
    return name.isidentifier() and not taken


@final
class Program(Struct, frozen=True):
    """The parsed equations of a model."""

    slowly: tuple[expressions.Statement, ...]
    update: tuple[expressions.Statement, ...]
    threshold: Any
    after: tuple[expressions.Statement, ...]

    @property
    def names(self) -> set[str]:
        """All names that the equations read."""
        nodes = [each.value for each in (*self.slowly, *self.update, *self.after)]
        return expressions.names_in([*nodes, self.threshold])
