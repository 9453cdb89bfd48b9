"""A step enters native code once, however many sequences and layers it serves."""

from ossia.kernels.ops import Program
from ossia.model.sampling import SamplingParams


def test_a_step_runs_one_program(engine_of, monkeypatch):
    runs = []
    original = Program.run

    def counted(self):
        runs.append(self)
        original(self)

    monkeypatch.setattr(Program, "run", counted)
    engine = engine_of("q8", max_chunk=20)
    for i in range(5):
        engine.submit(list(range(10, 30 + 10 * i)), SamplingParams(max_tokens=5, temperature=0))
    steps = 0
    while engine.has_work:
        engine.step()
        steps += 1
        assert len(runs) == steps
    assert steps == engine.stats.steps
