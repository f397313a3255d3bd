"""The printed plan: what would happen, before it costs anything, in at most 100 columns.

Top to bottom as the spec is: its head, each stage with its steps and the columns they add, one table of figures, then
what needs attention. Plain text without colours or times of day, so that golden files can hold it and `diff` compares
two; widths follow the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap

from synthkit.core.row import Value
from synthkit.plan.estimate import Estimate, StepEstimate, estimate
from synthkit.plan.graph import Graph, Node
from synthkit.plan.state import PlanState
from synthkit.spec.document import shown

WIDTH = 100


def render_plan(graph: Graph, state: PlanState | None = None) -> str:
    """The plan as text; with `state` (a run as it stands) also what is reused, and figures from what it has seen."""
    cost = estimate(graph, state)
    lines = [*_head(graph), ""]
    for number, stage in enumerate(graph.levels()):
        lines += [f"stage {number}", *(line for node in stage for line in _step(graph, node)), ""]
    lines += [*_figures(graph, cost), ""]
    lines += _total(graph, cost)
    if graph.publish:
        lines += ["", *_published(graph, cost)]
    if notes := list(_notes(graph, cost)):
        lines += ["", *notes]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(graph: Graph) -> Iterator[str]:
    """Name, purpose, and what the whole spec shares."""
    yield from wrap(f"{graph.name}: {graph.about}" if graph.about else graph.name, WIDTH, subsequent_indent="  ")
    yield ""
    yield f"{'spec':<11}{shown(graph.spec_path)}"
    if graph.vars:
        yield from _entry("vars", ", ".join(f"{name} {_value(value)}" for name, value in graph.vars.items()))
    if graph.seed:
        yield f"{'seed':<11}{graph.seed}"
    asked = dict.fromkeys(name for node in graph.nodes.values() for name in node.roles)
    for index, name in enumerate(asked):
        role = graph.roles[name]
        engine = graph.engines[role.engine]
        loaded = f"{engine.kind} {_value(getattr(engine, engine.kind))}"
        sampling = role.model_dump(exclude={"engine"}, exclude_defaults=True)
        parts = [f"{key} {_value(value)}" for key, value in sampling.items()]
        yield from _entry("" if index else "models", "; ".join([f"{name}: {role.engine} ({loaded})", ", ".join(parts)]))
    if graph.toolset is not None:
        yield from _entry("toolset", f"{graph.toolset.toolset} ({', '.join(graph.toolset.tools)})")
    if graph.tokenizer:
        yield f"{'tokenizer':<11}{graph.tokenizer}"


def _entry(name: str, text: str) -> list[str]:
    """A line of the head, wrapped under itself."""
    return wrap(text, WIDTH, initial_indent=f"{name:<11}", subsequent_indent=" " * 11, break_long_words=False)


def _step(graph: Graph, node: Node) -> Iterator[str]:
    """A step: what it is, what it reads and adds."""
    origin = f"from {', '.join(_called(graph, each) for each in node.inputs)}" if node.inputs else ""
    what = [node.action.verb, {"row": "", "union": ""}.get(node.kind, node.kind), origin]
    if node.extra:
        what.append(f"with {', '.join(_called(graph, each) for each in node.extra)}")
    yield f"  {node.name:<16} {', '.join(each for each in what if each)}"
    if node.roles:
        asks = node.action.cost()
        samples = f" of {_number(asks.samples)} samples" if asks.samples > 1 else ""
        calls = f"{_number(asks.calls)} request{'s' if asks.calls != 1 else ''}{samples} a row"
        yield from _detail("asks", f"{', '.join(node.roles)}: {calls}")
    if node.prompts:
        yield from _detail("prompt", ", ".join(node.prompts))
    if node.name in graph.subspecs:
        sub = graph.subspecs[node.name]
        yield from _detail("runs", f"{sub.name} ({shown(sub.spec_path)}), {len(sub.nodes)} steps")
    if node.when:
        yield from _detail("when", node.when)
    if node.reads:
        yield from _detail("reads", ", ".join(sorted(node.reads)))
    if node.adds:
        yield from _detail("adds", (f"{name}: {of}" for name, of in node.adds.items()))
    if node.hidden:
        yield from _detail("hides", ", ".join(sorted(node.hidden)))
    if not node.carries and node.inputs:
        yield from _detail("drops", "all other columns")
    if node.until:
        yield from _detail("until", _quota(node))


def _called(graph: Graph, name: str) -> str:
    """A node as the spec calls it: a composite by its own name."""
    return next((alias for alias, output in graph.aliases.items() if output == name), name)


def _detail(name: str, text: str | Iterable[str]) -> list[str]:
    """A line below a step; several entries go one a line where they are long."""
    if not isinstance(text, str):
        entries = list(text)
        joined = ", ".join(entries)
        if len(joined) <= WIDTH - 26:
            text = joined
        else:
            return [line for i, entry in enumerate(entries) for line in _detail("" if i else name, entry)]
    lines = wrap(
        text.replace(": ", _KEPT),
        WIDTH,
        initial_indent=f"{'':<19}{name:<7}",
        subsequent_indent=" " * 28,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_KEPT, ": ") for line in lines]


_KEPT = ":\u00a0"
"""Stands for `: ` while lines are broken, so that a name stays with its type."""


def _quota(node: Node) -> str:
    """A quota in words."""
    assert node.until is not None
    wanted = f"{node.until.rows:,} rows" if node.until.rows is not None else f"{node.until.tokens:,} tokens"
    return f"{wanted} for each {node.until.per}" if node.until.per else wanted


def _figures(graph: Graph, cost: Estimate) -> Iterator[str]:
    """One line a step: rows in, reused, to be computed, out, requests, tokens."""
    header = ("step", "in", "reuse", "compute", "out", "requests", "tokens")
    rows = [header]
    for name, node in graph.nodes.items():
        each = cost.steps[name]
        source = node.kind == "source"
        rows.append(
            (
                name,
                "" if source else _number(each.rows),
                "" if source else _number(each.reuse) if each.reuse else "-",
                "" if source else _number(each.compute),
                _number(each.output),
                _number(each.requests) if node.roles else "-",
                _tokens(each) if node.roles else "-",
            )
        )
    yield from _table(rows)


def _tokens(each: StepEstimate) -> str:
    """Prompt and reply tokens together."""
    if each.prompt_tokens is None or each.completion_tokens is None:
        return "?"
    return _number(each.prompt_tokens + each.completion_tokens)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Aligned: names left, figures right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "   ".join([f"{row[0]:<{widths[0]}}", *cells])


def _total(graph: Graph, cost: Estimate) -> Iterator[str]:
    """What it comes to."""
    if not cost.requests:
        yield f"{'in all':<11}no requests" if cost.requests == 0 else f"{'in all':<11}as many requests as rows come"
        return
    guess = "" if cost.piloted else ", if nothing is rejected"
    yield f"{'in all':<11}{_number(cost.requests)} requests, {_number(cost.samples)} replies{guess}"
    for name, below in cost.subspecs.items():
        if below.requests:
            spec = graph.subspecs[name].name
            yield f"{'':<11}{_number(below.requests)} of the requests for {spec}, which {name!r} reads"
    if not cost.piloted:
        yield f"{'':<11}tokens, time and yield are told by a pilot: synthkit run SPEC --limit 20"
    else:
        time = f", {_duration(cost.seconds)}" if cost.seconds is not None else ""
        prompt, reply = _number(cost.prompt_tokens), _number(cost.completion_tokens)
        yield f"{'':<11}{prompt} prompt and {reply} reply tokens{time}"


def _published(graph: Graph, cost: Estimate) -> Iterator[str]:
    """Tables for others to read."""
    for index, (name, table) in enumerate(graph.publish.items()):
        rows = cost.tables[name]
        expected = f"about {_number(rows)} rows" if rows is not None and cost.piloted else f"{_number(rows)} rows"
        columns = ", ".join(table.columns)
        yield from _entry("" if index else "publish", f"{name}: {expected} of {_called(graph, table.node)} ({columns})")


def _notes(graph: Graph, cost: Estimate) -> Iterator[str]:
    """What a reader should know before running."""
    for name, each in cost.steps.items():
        if each.short:
            until = graph.nodes[name].until
            per = f" over all {until.per}s" if until and until.per else ""
            yield from _entry(
                "short",
                f"{name} is expected to get {_number(each.available)} rows for its quota of {_number(each.quota)}{per}:"
                " read more, or lower `until`",
            )
    for index, path in enumerate(graph.shadowed):
        yield from _entry("" if index else "shadowed", f"{shown(path)} (another file of that name is found first)")


def _value(value: Value) -> str:
    """A value in one word or a short list."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(each)}" for key, each in value.items()) + "}"
    return str(value)


def _number(value: float | None) -> str:
    """A count for humans; `?` where it is unknown."""
    return "?" if value is None else f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _duration(seconds: float) -> str:
    """About how long, in the largest unit that fits."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"about {seconds / size:.1f} {unit}"
    return f"about {seconds:.0f} seconds"
