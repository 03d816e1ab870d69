"""Search spaces: choices, decisions, architectures and the tree of decisions."""

from .architecture import Answer, Architecture
from .choices import choose, integer, one_of, real, repeat, subset
from .decision import Categorical, Decision, Integer, Real, Subset
from .describing import described
from .forms import graph_form
from .naming import weight_names
from .scopes import module_scopes, scope
from .space import Size, Space

__all__ = [
    "Answer",
    "Architecture",
    "Categorical",
    "Decision",
    "Integer",
    "Real",
    "Size",
    "Space",
    "Subset",
    "choose",
    "described",
    "graph_form",
    "integer",
    "module_scopes",
    "one_of",
    "real",
    "repeat",
    "scope",
    "subset",
    "weight_names",
]
