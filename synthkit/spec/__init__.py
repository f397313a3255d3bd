"""The spec language: YAML with marks to a validated model; references, composite actions, the editor schema."""

from synthkit.spec.document import Document, Site
from synthkit.spec.load import load_spec
from synthkit.spec.model import Composite, CompositeCall, LoadedSpec, Param, Publish, Quota, Spec, Step
from synthkit.spec.search import Search

__all__ = [
    "Composite",
    "CompositeCall",
    "Document",
    "LoadedSpec",
    "Param",
    "Publish",
    "Quota",
    "Search",
    "Site",
    "Spec",
    "Step",
    "load_spec",
]
