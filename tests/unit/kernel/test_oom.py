from __future__ import annotations

from labkit.kernel import Victim, parse_victims

# Of the micro-VM's guest, Linux 6.12; cgroups shortened.
LOG = """\
[  136.590301] python3 invoked oom-kill: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE), order=0
[  136.597561] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=5f0c,mems_allowed=0,\
global_oom,task_memcg=/docker/5f0c,task=python3,pid=1021,uid=0
[  136.598331] Out of memory: Killed process 1021 (python3) total-vm:1262196kB
[  140.100001] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=77aa,mems_allowed=0,\
oom_memcg=/docker/77aa,task_memcg=/docker/77aa,task=sh,pid=1100,uid=0
[    9.000001] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,\
global_oom,task_memcg=/system,task=a, b,pid=7,uid=1000
"""


def test_those_that_their_own_limit_killed_are_left_out() -> None:
    assert parse_victims(LOG) == [
        Victim(136.597561, "/docker/5f0c", "python3", 1021),
        Victim(9.000001, "/system", "a, b", 7),
    ]


def test_a_log_without_deaths_names_nobody() -> None:
    assert parse_victims("[    0.000000] Linux version 6.12\n") == []
