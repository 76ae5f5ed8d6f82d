import json

from edge_cnn.cli.console import Console, table


def test_a_table_aligns_words_left_and_numbers_right():
    text = table(["a", "n"], [["x", "1"], ["yy", "22"]])
    assert text.splitlines() == ["a    n", "--  --", "x    1", "yy  22"]


def test_progress_without_a_terminal_is_plain_lines_on_stderr(capsys):
    with Console(json=False, quiet=False, seed=0).progress("embedding", 3) as update:
        for done in (1, 2, 3):
            update(done, "images")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == "embedding 3/3 images"


def test_quiet_says_nothing_on_stderr(capsys):
    console = Console(json=False, quiet=True, seed=0)
    console.note("remark")
    with console.progress("embedding", 1) as update:
        update(1)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Console(json=False, quiet=False, seed=0).progress("embedding", 4) as update:
        update(2, "half")
        update(4)
    assert "embedding" in capsys.readouterr().err


def test_results_are_json_with_json_and_text_without(capsys):
    for as_json, expected in ((True, {"a": 1}), (False, "one")):
        Console(json=as_json, quiet=False, seed=0).result({"a": 1}, "one")
        out = capsys.readouterr().out.strip()
        assert (json.loads(out) if as_json else out) == expected


def test_a_stdout_that_was_closed_from_the_start_takes_no_status_away(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    Console(json=True, quiet=True, seed=0).result({"a": 1}, "a")
