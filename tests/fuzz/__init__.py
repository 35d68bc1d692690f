"""Coverage-guided fuzzing of what reads a stranger's bytes; run by `test_fuzz.py`, each target in a process of its own."""
