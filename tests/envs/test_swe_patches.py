"""What a patch may not touch: every known way to change the judge instead of the code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.envs.swe.local.repositories import instances
from crl.envs.swe.patches import MAX_PATCH_BYTES, Refused, parse, refusal
from tests.envs.swe_tasks import local_instance

INSTANCE = local_instance("lrucache")


def new_file(path: str, *lines: str, mode: str = "100644") -> str:
    body = "".join(f"+{line}\n" for line in lines)
    head = f"diff --git a/{path} b/{path}\nnew file mode {mode}\nindex 0000000..1111111\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{len(lines)} @@\n{body}"


def change(path: str, old: str = "a", new: str = "b") -> str:
    return f"diff --git a/{path} b/{path}\nindex 1111111..2222222 100644\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+{new}\n"


def test_every_reference_repair_may_be_graded():
    assert [refusal(instance.patch, instance) for instance in instances()] == [""] * 28


@pytest.mark.parametrize("path", ["lrucache.py", "docs/notes.md", "src/contest.py", "latest/attest.py", ".gitignore"])
def test_plain_code_may_change(path):
    assert refusal(change(path), INSTANCE) == ""


@pytest.mark.parametrize(
    "path",
    [
        "conftest.py", "sub/conftest.py", "pytest.ini", "pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "a/Conftest.py",
        "sitecustomize.py", "usercustomize.py", "x.pth", "evil.so", "lrucache.pyc",
        "tests/test_lrucache.py", "tests/helper.py", "test_new.py", "sub/thing_test.py", "testing/x.py",
        ".git/hooks/post-checkout", ".gitattributes", ".gitmodules", "sub/.git/config", ".GIT/config",
        "../outside.py", "/etc/passwd", "a/../../b.py", "./x.py",
    ],
)  # fmt: skip
def test_test_infrastructure_is_out_of_bounds(path):
    assert refusal(change(path), INSTANCE)
    assert refusal(new_file(path, "x = 1"), INSTANCE)


@pytest.mark.parametrize("path", ["pytest.py", "_pytest/__init__.py", "os.py", "src/unittest/__init__.py", "json.py"])
def test_a_new_module_that_hides_another_is_refused(path):
    assert "shadow" in refusal(new_file(path, "x = 1"), INSTANCE)


def test_links_submodules_binaries_and_renames_are_refused():
    assert "link" in refusal(new_file("data", "/etc", mode="120000"), INSTANCE)
    assert "submodule" in refusal(new_file("data", "abc", mode="160000"), INSTANCE)
    to_link = "diff --git a/x.py b/x.py\nold mode 100644\nnew mode 120000\n"
    assert "link" in refusal(to_link, INSTANCE)
    binary = (
        "diff --git a/x.bin b/x.bin\nnew file mode 100644\nindex 0000000..1111111\nGIT binary patch\nliteral 1\nIcmZ\n"
    )
    assert "not a plain change" in refusal(binary, INSTANCE)
    header = "diff --git a/tests/test_lrucache.py b/old.py\nsimilarity index 100%\n"
    rename = f"{header}rename from tests/test_lrucache.py\nrename to old.py\n"
    assert refusal(rename, INSTANCE)
    edited_link = "diff --git a/l b/l\nindex 1111111..2222222 120000\n--- a/l\n+++ b/l\n@@ -1 +1 @@\n-x\n+y\n"
    assert "link" in refusal(edited_link, INSTANCE)


@pytest.mark.parametrize(
    "line",
    [
        "os._exit(0)", "from os import _exit", "atexit.register(report)", "import _pytest",
        "print('PASSED tests/test_lrucache.py::test_get_counts_as_use')", "print('>>>>> End Test Output')",
        "def pytest_runtest_makereport(item, call):", "print('9 passed in 0.01s')", "open('/proc/self/fd/1', 'w')",
    ],
)  # fmt: skip
def test_code_that_ends_or_forges_the_run_is_refused(line):
    assert "test run" in refusal(change("lrucache.py", new=line), INSTANCE)


def test_headers_cannot_name_another_file_than_the_hunks():
    two_faced = change("lrucache.py").replace("+++ b/lrucache.py", "+++ b/conftest.py")
    assert "names another file" in refusal(two_faced, INSTANCE)
    hidden = change("lrucache.py") + "--- a/conftest.py\n+++ b/conftest.py\n@@ -1 +1 @@\n-a\n+b\n"
    assert refusal(hidden, INSTANCE)
    quoted = change("lrucache.py").replace("b/lrucache.py\n", '"b/conf\\164est.py"\n', 1)
    assert refusal(quoted, INSTANCE)
    assert "twice" in refusal(change("lrucache.py") * 2, INSTANCE)


def test_a_huge_patch_is_refused():
    assert "larger" in refusal(new_file("big.txt", "x" * MAX_PATCH_BYTES), INSTANCE)


LINES = st.sampled_from(
    (
        *change("lrucache.py").splitlines(),
        *new_file("conftest.py", "x").splitlines(),
        "rename to x.py",
        "-",
        "+",
        " ",
        "\\ No",
        "@@ -1,2 +1 @@",
    )
)


@given(st.lists(st.one_of(LINES, st.text(max_size=20)), max_size=25).map("\n".join))
def test_any_text_is_read_or_refused_and_conftest_never_gets_through(patch):
    reason = refusal(patch, INSTANCE)
    try:
        parts = parse(patch)
    except Refused:
        assert reason
        return
    if any(part.path == "conftest.py" for part in parts):
        assert reason
