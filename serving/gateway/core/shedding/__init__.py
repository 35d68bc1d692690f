"""Load shedding: who is let in, who goes first, who is dropped. Each file is one policy, a pure function of numbers."""
