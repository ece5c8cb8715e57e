"""What untrusted text may do to whoever reads it: nothing."""

from crl.replies.printable import plain


def test_control_and_direction_marks_are_made_visible_and_long_texts_cut():
    assert plain("a\x1b[31m\u202eb\x00\n\tc") == "a\ufffd[31m\ufffdb\ufffd\n\tc"
    assert plain("x" * 9000).endswith("… (5000 more characters)")
    assert "\ud800" not in plain("\ud800")
