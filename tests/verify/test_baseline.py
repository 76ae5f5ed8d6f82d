import json
from dataclasses import replace

import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import InputError, ToleranceError
from edge_cnn.verify import replay as replay_module
from edge_cnn.verify.baseline import baseline_of, check_samples, mean_absolute_lsb, read_baseline, samples_hash
from edge_cnn.verify.baseline_comparison import compare_with_baseline
from edge_cnn.verify.device_facts import DeviceFacts
from edge_cnn.verify.replay import verify

NAMES = ("model.tflite", "model-second.tflite")


def nudged(fakes, changes, version="1"):
    """The host's graph with another code in a few places of its first batch: {(sample, class): code}."""
    seen = []

    def graph(codes):
        outputs = codes.reshape(-1, 10).copy()
        if not seen:
            for place, code in changes.items():
                outputs[place] = code
        seen.append(codes)
        return outputs

    return fakes.Runtime(graph, version=version)


@pytest.fixture
def run(fake_bundle, fakes, tmp_path, monkeypatch):
    """Verify a bundle when its first artifact is `graph`, on a device of that name."""
    path = tmp_path / "fake.edgecnn"

    def run_graph(graph=None, bundle=fake_bundle, name="board", **options):
        bundle.write(path)
        graphs = {NAMES[0]: graph or fakes.Runtime(fakes.graph, version="1")}
        graphs[NAMES[1]] = fakes.Runtime(fakes.graph, version="1")
        device = fakes.Device(graphs, name=name)
        monkeypatch.setattr(replay_module, "parse_device", lambda *_, **__: device)
        return verify(path, name, **options)

    return run_graph


@pytest.fixture
def file(run, tmp_path):
    path = tmp_path / "baseline.json"
    assert run(baseline=path, update_baseline=True).passed
    return path


def lost_answers(count, fake_bundle):
    """Changes that make `count` samples wrong: the class next to the label is scored best."""
    labels = fake_bundle.golden.labels
    return {(i, int(labels[i] + 1) % 10): 127 for i in range(count)}


def loose(bundle):
    """The bundle with bounds so wide that only the baseline can complain."""
    wide = {f: replace(t, max_lsb=255, min_top1_agreement=0.0, max_accuracy_drop=1.0, min_accuracy_share=0.0)
            for f, t in bundle.manifest.artifacts[0].tolerances.items()}  # fmt: skip
    entries = tuple(replace(entry, tolerances=wide) for entry in bundle.manifest.artifacts)
    return Bundle(replace(bundle.manifest, artifacts=entries), bundle.artifacts, bundle.golden)


def statuses(report):
    return {change.artifact: change.status for change in report.changes}


def test_a_clean_repeat_raises_no_alarm(run, file):
    for _ in range(20):
        report = run(baseline=file)
        assert report.passed
        assert statuses(report) == dict.fromkeys(NAMES, "same")
        report.check()


def test_other_bits_of_the_same_file_runtime_and_kernels_are_a_regression(run, file, fakes, fake_bundle):
    changed = nudged(fakes, {(3, int(fake_bundle.golden.labels[3])): 113})
    report = run(changed, baseline=file)
    assert not report.failed
    assert statuses(report) == {NAMES[0]: "regressed", NAMES[1]: "same"}
    assert report.exit_status == 1
    with pytest.raises(ToleranceError, match="other bits than in the baseline from the same file"):
        report.check()


def test_other_bits_of_another_runtime_version_are_told_and_no_regression(run, file, fakes, fake_bundle):
    changed = nudged(fakes, {(3, int(fake_bundle.golden.labels[3])): 113}, version="2")
    report = run(changed, baseline=file)
    assert report.passed
    (change, _) = report.changes
    assert change.status == "changed"
    assert change.reason == (
        "litert 1 -> 2: no other answer, largest difference from the host 0 -> 1 LSB, mean 0.000 -> 0.002 LSB"
    )


def test_other_bits_on_another_cpu_are_told_and_no_regression(run, fake_bundle):
    """Without VNNI some kernels saturate where others do not, and a CI has machines of both kinds."""
    bits = iter(("0" * 64, "1" * 64, "2" * 64))
    facts = iter((("avx2",), ("avx2", "avx512_vnni"), ("avx2",)))

    def on_a_machine(report, bundle):
        parity, features, digest = report.results[0].parity, next(facts), next(bits)
        machine = DeviceFacts("x86_64", "3.11", "a CPU", 2, features, None, 0.0)
        first = replace(report.results[0], facts=machine, parity=replace(parity, output_sha256=digest))
        return replace(report, results=(first,)), bundle

    baseline = baseline_of(*on_a_machine(run(), fake_bundle))
    (change, *_) = compare_with_baseline(*on_a_machine(run(), fake_bundle), baseline)
    assert change.status == "changed"
    assert change.reason.startswith("another CPU (x86_64 avx2 -> x86_64 avx2 avx512_vnni): no other answer")
    (change, *_) = compare_with_baseline(*on_a_machine(run(), fake_bundle), baseline)
    assert change.status == "regressed"


@pytest.mark.parametrize(("count", "status"), [(5, "changed"), (6, "regressed")])
def test_a_loss_is_a_regression_where_it_is_more_than_chance(run, tmp_path, fakes, fake_bundle, count, status):
    path, bundle = tmp_path / "loose.json", loose(fake_bundle)
    run(bundle=bundle, baseline=path, update_baseline=True)
    report = run(nudged(fakes, lost_answers(count, fake_bundle), version="2"), bundle, baseline=path)
    change = report.changes[0]
    assert change.status == status
    assert (change.answers.lost, change.answers.won) == (count, 0)
    if status == "regressed":
        assert "6 right answers lost and 0 won since the baseline" in change.reason
        assert "p = 0.031" in change.reason


def test_answers_that_were_won_are_no_regression(run, tmp_path, fakes, fake_bundle):
    path, bundle = tmp_path / "loose.json", loose(fake_bundle)
    run(nudged(fakes, lost_answers(12, fake_bundle)), bundle, baseline=path, update_baseline=True)
    report = run(fakes.Runtime(fakes.graph, version="2"), bundle, baseline=path)
    assert report.passed
    assert (report.changes[0].answers.lost, report.changes[0].answers.won) == (0, 12)


def test_another_file_of_the_same_samples_is_compared_by_its_answers(run, file, fake_bundle):
    artifacts = (Artifact(NAMES[0], "tflite", b"retrained"), fake_bundle.artifacts[1])
    entries = tuple(replace(e, sha256=a.sha256) for e, a in zip(fake_bundle.manifest.artifacts, artifacts, strict=True))
    retrained = Bundle(replace(fake_bundle.manifest, artifacts=entries), artifacts, fake_bundle.golden)
    report = run(bundle=retrained, baseline=file)
    assert report.passed
    assert statuses(report) == dict.fromkeys(NAMES, "same")  # other bytes, but the same answers and bits


def test_what_does_not_run_any_more_is_a_regression(run, file):
    report = run(ToleranceError("crashed"), baseline=file)
    assert statuses(report)[NAMES[0]] == "regressed"
    assert "ran in the baseline and does not now" in report.changes[0].reason


def test_devices_that_are_not_in_the_baseline_are_new_and_can_be_added(run, file):
    report = run(name="second", baseline=file)
    assert report.passed
    assert statuses(report) == dict.fromkeys(NAMES, "new")
    run(name="second", baseline=file, update_baseline=True)
    kept = read_baseline(file)
    assert [(c.device, c.artifact) for c in kept.cells] == [(d, a) for a in sorted(NAMES) for d in ("board", "second")]
    assert statuses(run(name="board", baseline=file)) == dict.fromkeys(NAMES, "same")


def test_what_was_not_run_is_told(run, file, fake_bundle):
    one = Bundle(
        replace(fake_bundle.manifest, artifacts=fake_bundle.manifest.artifacts[:1]),
        fake_bundle.artifacts[:1],
        fake_bundle.golden,
    )
    report = run(bundle=one, baseline=file)
    assert statuses(report) == {NAMES[0]: "same", NAMES[1]: "not run"}
    assert report.passed


def test_the_file_reads_as_it_was_written_and_has_one_cell_a_line(run, file, fake_bundle):
    baseline = read_baseline(file)
    assert baseline.to_bytes() == file.read_bytes()
    assert baseline.samples_sha256 == samples_hash(fake_bundle)
    assert baseline == baseline_of(run(), fake_bundle)
    assert sum('"answers"' in line for line in file.read_text().splitlines()) == 2
    assert [len(cell["answers"]) for cell in json.loads(file.read_bytes())["cells"]] == [64, 64]


def test_other_golden_samples_cannot_be_paired(run, file, fake_bundle):
    golden = replace(fake_bundle.golden, inputs=fake_bundle.golden.inputs[::-1].copy())
    with pytest.raises(InputError, match=r"other golden samples \(it was made from fake\.edgecnn\)"):
        run(bundle=Bundle(fake_bundle.manifest, fake_bundle.artifacts, golden), baseline=file)


def test_a_baseline_whose_answers_are_cut_is_damaged(file, fake_bundle):
    baseline = read_baseline(file)
    cut = replace(baseline, cells=(replace(baseline.cells[0], answers=(1, 2)), *baseline.cells[1:]))
    with pytest.raises(InputError, match=r"damaged baseline: 2 answers of .* for 64 samples"):
        check_samples(cut, fake_bundle, file)


def test_an_update_needs_a_file_to_write(run):
    with pytest.raises(InputError, match="without a baseline"):
        run(update_baseline=True)


def test_a_run_that_fails_leaves_the_baseline_as_it_was(run, file, fakes):
    before = file.read_bytes()
    bad = fakes.Runtime(lambda codes: codes.reshape(-1, 10)[:, ::-1])
    assert not run(bad, baseline=file, update_baseline=True).passed
    assert file.read_bytes() == before


def test_the_mean_of_absolute_differences():
    assert mean_absolute_lsb({-2: 1, 0: 5, 3: 2}) == pytest.approx((2 + 6) / 8)
    assert mean_absolute_lsb({}) is None
