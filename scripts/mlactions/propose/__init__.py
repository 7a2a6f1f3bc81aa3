"""propose: a code task that Codex does, as a patch that is checked and becomes a draft."""
