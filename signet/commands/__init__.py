"""The sub-commands of `signet`, a file each: its options, and one call of the code that is imported only then."""
