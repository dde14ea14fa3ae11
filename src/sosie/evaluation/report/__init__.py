"""What a run came to, for people: a page and a text that need nothing beside them.

`write_report` makes both from the folder of a run; `write_comparison` one page of several runs.
"""

from sosie.evaluation.report.compare import Comparison, compare_runs, write_comparison
from sosie.evaluation.report.write import write_report

__all__ = ["Comparison", "compare_runs", "write_comparison", "write_report"]
