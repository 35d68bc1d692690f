"""What every server process needs: signals, logs, files, supervision of its background work, budgets."""
