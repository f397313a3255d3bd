"""Loads a corpus recipe: every problem that its file alone can tell, in one SpecError with lines and columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from synthkit.core.errors import Problem, SpecError
from synthkit.spec.document import Site
from synthkit.spec.wording import validate
from synthkit.spec.yaml import read_document
from synthkit.train.recipe import DedupKeys, Recipe, RecipeKeys, SourceKeys

_HELP = "a recipe is a mapping of tokenizer, sequence, budget, sources and the like"


def load_recipe(path: Path) -> Recipe:
    """The recipe in a file; SpecError with all that is wrong."""
    document = read_document(path)
    value = document.value
    if not isinstance(value, dict):
        raise SpecError(document.problem(f"is {'empty' if value is None else 'no mapping'}", help=_HELP))
    if "steps" in value and "sources" not in value:
        hint = f"run it: synthkit run {document.file}"
        raise SpecError(document.problem("is a spec, not a recipe", ("steps",), key=True, help=hint))
    site = Site(document)
    keys = validate(RecipeKeys, value, site, "a recipe")
    if isinstance(keys, list):
        raise SpecError(_in_order(keys))
    recipe = Recipe(keys.name or path.name.partition(".")[0], keys, path, document)
    if problems := list(_problems(recipe, site)):
        raise SpecError(_in_order(problems))
    return recipe


def is_recipe(path: Path) -> bool:
    """Whether a file is a YAML document rather than a run directory."""
    return path.suffix in (".yaml", ".yml") and not path.is_dir()


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda each: (each.mark.line, each.mark.column) if each.mark else (0, 0))


def _problems(recipe: Recipe, site: Site) -> Iterator[Problem]:
    """What the types do not say."""
    keys = recipe.keys
    for name, source in keys.sources.items():
        yield from _source(recipe, source, site.at("sources", name), name)
    yield from _shares(recipe, site)
    if keys.tokens_per_step is not None:
        yield from _step(recipe, site)
    if recipe.masked and keys.loss.get("all", 1) == 0 and not any(keys.loss.values()):
        yield site.problem("nothing is learned: every role of 'loss' is 0", "loss")
    for output in ("megatron", "documents"):
        if recipe.masked and output in keys.outputs:
            at = keys.outputs.index(output)
            yield site.problem(
                f"{output} files hold no loss mask, and 'loss' leaves tokens out", *_output(recipe, at),
                help="write outputs: [packed], or learn all tokens",
            )  # fmt: skip
    if recipe.chat and set(keys.outputs) - {"chat", "datasets"}:
        yield site.problem(
            "'chat' writes messages and the other outputs write texts", "outputs", help="make two recipes of it"
        )
    if keys.template is not None and not recipe.chat:
        yield site.problem("only chats have a template", "template", key=True)
    if keys.eod is not None and keys.eod in keys.special:
        yield site.problem(
            f"{keys.eod} ends documents, so none may hold it", "special", help="take it out of special, or change eod"
        )
    if keys.dedup is not None:
        yield from _dedup(keys.dedup, site.at("dedup"))
    train = keys.train
    if train and train.context > 1 and keys.sequence % (2 * train.context):
        yield site.problem(
            f"a sequence of {keys.sequence:,} tokens cannot be shared by {train.context} context parallel ranks",
            "train", "context",
            help=f"{2 * train.context} must divide it",
        )  # fmt: skip


def _dedup(keys: DedupKeys, site: Site) -> Iterator[Problem]:
    for key in ("threshold", "words", "chars") if keys.exact else ():
        if key in keys.model_fields_set:
            yield site.problem(f"exact compares bytes, and {key} is of texts that are alike", key, key=True)
    if keys.words is not None and keys.chars is not None:
        yield site.problem("words and chars exclude each other", "chars", key=True)


def _output(recipe: Recipe, at: int) -> tuple[str | int, ...]:
    """Where an output stands: it may be written without a list, or not at all."""
    written = recipe.document.get(("outputs",))
    return ("outputs", at) if isinstance(written, list) else ("outputs",) if written else ("loss",)


def _source(recipe: Recipe, source: SourceKeys, site: Site, name: str) -> Iterator[Problem]:
    if (source.run is None) == (not source.path):
        said = "both" if source.path else "neither"
        yield site.problem(f"source {name!r} takes one of run and path, not {said}", key=True)
    if source.run is not None and source.table is None:
        yield site.problem(f"source {name!r} lacks the key 'table'", key=True, help="table: The published table")
    if source.table is not None and source.path:
        yield site.problem("table belongs to run, not to path", "table", key=True)
    if recipe.chat != (source.messages is not None):
        what = "lacks the key 'messages'" if recipe.chat else "has messages, which only 'chat' and 'datasets' write"
        hint = "messages: Column of chat messages" if recipe.chat else "write outputs: [chat], or [datasets]"
        yield site.problem(f"source {name!r} {what}", key=True, help=hint)
    if source.tools is not None and source.messages is None:
        yield site.problem("tools go with messages, and there are none", "tools", key=True)
    if recipe.chat and recipe.over(name) == "split":
        owner = site if source.over else recipe.site
        yield owner.problem("a chat is not split", "over", help="write over: aside, or next")
    if source.share == 0:
        yield site.problem(f"source {name!r} has no share", key=True, help="share: 22%, or leave the source out")
    if source.longer >= recipe.keys.sequence and recipe.over(name) != "split":
        yield site.problem(
            f"documents of more than {source.longer:,} tokens fit no sequence of {recipe.keys.sequence:,}", "longer"
        )


def _shares(recipe: Recipe, site: Site) -> Iterator[Problem]:
    total = sum(source.share for source in recipe.keys.sources.values())
    if abs(total - 1) > 1e-6:
        listed = ", ".join(f"{name} {source.share:.6g}" for name, source in recipe.keys.sources.items())
        gap = f"{abs(1 - total) * 100:.6g} % {'too little' if total < 1 else 'too much'}"
        yield site.problem(
            f"the shares make {total * 100:.6g} %, not 100 %", "sources", key=True, help=f"{gap}: {listed}"
        )


def _step(recipe: Recipe, site: Site) -> Iterator[Problem]:
    step, sequence = recipe.keys.tokens_per_step, recipe.keys.sequence
    assert step is not None
    if step < sequence or step % sequence:
        nearby = max(1, round(step / sequence)) * sequence
        yield site.problem(
            f"a step of {step:,} tokens is no whole number of sequences of {sequence:,}", "tokens_per_step",
            help=f"{nearby:,} is {nearby // sequence:,} sequences",
        )  # fmt: skip
    elif recipe.keys.budget < step:
        yield site.problem(f"a budget of {recipe.keys.budget:,} tokens is less than one step of {step:,}", "budget")
