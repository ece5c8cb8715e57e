"""Arms compared over seeds: what a study is, how one of its runs is played, and what all of them say."""
