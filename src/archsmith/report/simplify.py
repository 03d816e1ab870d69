"""Fewer boxes for the same data flow: small layers join large ones, identities become edges."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .graph import Graph, Node, neighbours
from .picture import Box

#: Families that are mentioned in the box of the layer before them.
_TAILS = frozenset({"norm", "activation", "dropout", "reshape"})
#: Families that small layers never join.
_ENDS = frozenset({"input", "output"})
#: Kinds of layers of a module in one box that are named; of more, the layers are counted.
_NAMED = 2
_WORDS = {"conv": "Conv", "linear": "Linear", "join": "Join", "pool": "Pool"}


@dataclass(slots=True)
class Item:
    """A box under construction: which nodes feed it, and which modules it is inside."""

    box: Box
    scope: tuple[str, ...]
    sources: list[int]
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def simplify(graph: Graph, outward: bool) -> dict[int, Item]:
    """Items by node number, in order of execution.

    ``outward`` lets a small layer that runs outside a module join the module's last box. That
    makes fewer boxes, but the last of several equal blocks may then differ from the others.
    """
    return chains(joined(live(graph)), outward)


def live(graph: Graph) -> dict[int, Item]:
    """Nodes that the output depends on, identities replaced by plain edges."""
    sources, _ = neighbours([node.number for node in graph.nodes], graph.edges)
    needed: set[int] = set()
    stack = [node.number for node in graph.nodes if node.kind == "output"]
    while stack:
        number = stack.pop()
        if number not in needed:
            needed.add(number)
            stack += sources[number]
    items: dict[int, Item] = {}
    stands_for: dict[int, int] = {}
    for node in graph.nodes:
        if node.number not in needed:
            continue
        producers = list(dict.fromkeys(stands_for.get(s, s) for s in sources[node.number]))
        if node.kind == "identity" and len(producers) == 1:
            stands_for[node.number] = producers[0]
        else:
            items[node.number] = Item(_box(node), node.scope, producers)
    return items


def _box(node: Node) -> Box:
    paths = (node.path,) if node.path else ()
    return Box(node.kind, node.text, "", node.shape, node.params, paths)


def consumers_of(items: dict[int, Item]) -> dict[int, list[int]]:
    edges = [(s, number) for number, item in items.items() for s in item.sources]
    return neighbours(list(items), edges)[1]


def joined(items: dict[int, Item]) -> dict[int, Item]:
    """Sums that only feed another sum become part of it."""
    consumers = consumers_of(items)
    for number in list(items):
        item, users = items[number], consumers[number]
        if item.box.title != "+" or item.box.kind != "join" or len(users) != 1:
            continue
        user = items[users[0]]
        if user.box.title == "+" and user.box.kind == "join" and user.scope == item.scope:
            at = user.sources.index(number)
            merged = [*user.sources[:at], *item.sources, *user.sources[at + 1 :]]
            user.sources = list(dict.fromkeys(merged))
            del items[number]
            for source in item.sources:
                remaining = [users[0] if u == number else u for u in consumers[source]]
                consumers[source] = list(dict.fromkeys(remaining))
    return items


def _related(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether one scope contains the other. Layers of sibling blocks stay separate."""
    shorter = min(len(a), len(b))
    return a[:shorter] == b[:shorter]


def chains(items: dict[int, Item], outward: bool) -> dict[int, Item]:
    """Norms, activations and the like join the layer before them, or else the one after."""
    consumers = consumers_of(items)
    for number in list(items):
        _join_before(items, consumers, number, outward)
    for number in list(items):
        _join_after(items, consumers, number)
    for item in items.values():
        middle = [_WORDS.get(item.box.kind, item.box.title)] if item.before else []
        item.box = replace(item.box, detail=" · ".join([*item.before, *middle, *item.after]))
    return items


def _join_before(
    items: dict[int, Item], consumers: dict[int, list[int]], number: int, outward: bool
) -> None:
    """Put a small layer into the box of its only source, if nothing else uses that source."""
    item = items[number]
    if item.box.kind not in _TAILS or len(item.sources) != 1:
        return
    keeper = item.sources[0]
    source = items[keeper]
    # An activation that opens the block after a sum belongs to that block.
    opens = source.scope != item.scope and any(
        items[user].scope == item.scope and items[user].box.kind not in (_TAILS | _ENDS)
        for user in consumers[number]
    )
    if opens or consumers[keeper] != [number] or source.box.kind in _ENDS:
        return
    inward = len(item.scope) >= len(source.scope)
    if _related(source.scope, item.scope) and (inward or outward):
        source.after.append(item.box.title)
        _absorb(source, item, item.box.shape)
        consumers[keeper] = consumers[number]
        for user in consumers[number]:
            old = items[user].sources
            items[user].sources = [keeper if s == number else s for s in old]
        del items[number]


def _join_after(items: dict[int, Item], consumers: dict[int, list[int]], number: int) -> None:
    """Put a small layer that follows a fork into the box of its only consumer."""
    item = items[number]
    if item.box.kind not in _TAILS or len(consumers[number]) != 1 or len(item.sources) != 1:
        return
    user = items[consumers[number][0]]
    fits = user.box.kind not in (_TAILS | _ENDS | {"join"}) and len(user.sources) == 1
    if fits and _related(user.scope, item.scope):
        user.before += [item.box.title, *item.after]
        _absorb(user, item, user.box.shape)
        user.sources = item.sources
        del items[number]


def _absorb(keep: Item, lost: Item, shape: tuple[int, ...] | None) -> None:
    paths = (*keep.box.paths, *lost.box.paths)
    params = keep.box.params + lost.box.params
    keep.box = replace(keep.box, params=params, paths=paths, shape=shape)
    keep.scope = min(keep.scope, lost.scope, key=len)


def collapse(items: dict[int, Item], names: dict[str, str]) -> dict[int, Item]:
    """Make one box of each of the deepest modules, unless that would create a cycle."""
    depth = max(len(item.scope) for item in items.values())
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, item in items.items():
        if len(item.scope) == depth:
            groups.setdefault(item.scope, []).append(number)
    for scope, members in groups.items():
        inside = set(members)
        outer = [s for m in members for s in items[m].sources if s not in inside]
        last = members[-1]
        # A source that comes after the first member could depend on the group itself.
        if len(members) > 1 and all(s < members[0] for s in outer):
            boxes = [items[m].box for m in members]
            name = names.get(scope[-1].split("@")[0], scope[-1])
            layers = tuple(box.title.split(",")[0] for box in boxes)
            named = {} if any(box.layers for box in boxes) else dict.fromkeys(layers)
            few = 0 < len(named) <= _NAMED
            detail = " · ".join(named) if few else f"{len(members)} layers"
            paths, count = (scope[-1].split("@")[0],), sum(b.params for b in boxes)
            box = Box("other", name, detail, boxes[-1].shape, count, paths, layers=layers)
            for number in members[:-1]:
                del items[number]
            items[last] = Item(box, scope[:-1], list(dict.fromkeys(outer)))
            for item in items.values():
                item.sources = list(dict.fromkeys(last if s in inside else s for s in item.sources))
            items[last].sources = list(dict.fromkeys(outer))
        else:
            for number in members:
                items[number].scope = scope[:-1]
    return dict(sorted(items.items()))
