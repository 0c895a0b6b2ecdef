"""Studies: a growth scenario over several seeds, compared arm by arm.

    runs       a process for each seed; what is finished is not run again, what was stopped goes on
    outcomes   what each arm came to, read from a run
    analysis   means, paired differences, intervals, verdicts
    page       results as a report

`python -m neuraxis_morphogenesis.study SCENARIO --seeds 100-129 --folder DIR`
"""
