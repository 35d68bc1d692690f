"""The page for people: what is served, a form to try it, what changes its answer."""
