"""From published tables to what a trainer reads: a corpus recipe, its tokens, its packs, and where each came from."""
