"""What Git says of the checkout, where there is one."""

import subprocess


def git(*arguments: str) -> str | None:
    """What `git ARGUMENTS` prints, stripped; None where it fails, or where this machine has no git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
