"""SWE-Bench: repair a repository from its issue, in a container, graded by the official harness. See docs/envs/swe.md."""
