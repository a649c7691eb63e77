"""A real Slurm of one node for tests, which needs root; its GPUs are faked."""

import grp
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")
MUNGE_SOCKET = Path("/run/munge/munge.socket.2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
CLUSTER = "harmonization-tests"
CPUS, MEGABYTES, GPUS = 8, 64_000, 2  # what the node claims to have
START = 30  # seconds that a daemon may take to start
SETTINGS = """\
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MinJobAge=600
KillWait=5
ReturnToService=1
SlurmdTimeout=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CoresPerSocket={cpus} RealMemory={megabytes} Gres=gpu:fake:{gpus}
PartitionName=low Nodes={host} Default=YES PriorityTier=1 MaxTime=INFINITE
PartitionName=high Nodes={host} PriorityTier=10 MaxTime=INFINITE PreemptMode=OFF
"""


def missing() -> str:
    """Why this machine cannot have the node; empty if it can."""
    if os.geteuid() != 0:
        return "a Slurm of its own needs root"
    lacking = [program for program in PROGRAMS if not shutil.which(program)]
    if lacking:
        return f"not installed: {', '.join(lacking)} (Debian: slurm-wlm munge)"
    if (CONFIGURATION / "slurm.conf").exists():
        return f"{CONFIGURATION} has the configuration of another Slurm"
    return ""


class Node:
    """The daemons of the node; `stop` ends them and removes what they left.

    Parameters
    ----------
    folder : Path
        For their state and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, socket.gethostname().split(".")[0]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.devices = [folder / f"gpu{number}" for number in range(GPUS)]

    def start(self) -> None:
        """Start all daemons and wait until the node takes jobs."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        for device in self.devices:
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
        CONFIGURATION.mkdir(exist_ok=True)
        settings = SETTINGS.format(
            cluster=CLUSTER,
            host=self.host,
            folder=self.folder,
            cpus=CPUS,
            megabytes=MEGABYTES,
            gpus=GPUS,
        )
        (CONFIGURATION / "slurm.conf").write_text(settings)
        (CONFIGURATION / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        gres = (f"Name=gpu Type=fake File={device} Flags=nvidia_gpu_env" for device in self.devices)
        (CONFIGURATION / "gres.conf").write_text("\n".join(gres) + "\n")
        self._start_munged()
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D")
        wait_for(lambda: self.state() == "idle")

    def _start_munged(self) -> None:
        if subprocess.run(["munge", "-n"], capture_output=True).returncode == 0:
            return
        MUNGE_SOCKET.parent.mkdir(exist_ok=True)
        user, group = pwd.getpwnam("munge").pw_uid, grp.getgrnam("munge").gr_gid
        os.chown(MUNGE_SOCKET.parent, user, group)
        self._daemon("munged", "--foreground", user="munge", group="munge", extra_groups=[])
        wait_for(lambda: subprocess.run(["munge", "-n"], capture_output=True).returncode == 0)

    def _daemon(self, name: str, *options: str, **settings: object) -> None:
        with (self.folder / f"{name}.out").open("ab") as output:
            command = [shutil.which(name) or name, *options]
            self.processes[name] = subprocess.Popen(  # type: ignore[call-overload]
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, **settings
            )

    def update(self, *changes: str) -> None:
        """Change the node as an administrator does."""
        subprocess.run(["scontrol", "update", f"NodeName={self.host}", *changes], check=True)

    def suspend(self, seconds: float) -> None:
        """Stop the processes of all running jobs for a while."""
        jobs = self.ask("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()
        for job in jobs:
            subprocess.run(["scontrol", "suspend", job], check=True)
        time.sleep(seconds)
        for job in jobs:
            subprocess.run(["scontrol", "resume", job], check=True)

    def state(self) -> str:
        """State of the node, as Slurm sees it."""
        return self.ask("sinfo", "--noheader", "--partition=low", "--format=%T").strip()

    def ask(self, *command: str) -> str:
        """Output of a Slurm command; empty if it fails."""
        return subprocess.run(command, capture_output=True, text=True).stdout

    def stop(self) -> None:
        """Stop the daemons, last started first, and remove the configuration."""
        self.ask("scancel", "--user=root")
        for name in reversed(self.processes):
            self.processes[name].terminate()
            try:
                self.processes[name].wait(START)
            except subprocess.TimeoutExpired:
                self.processes[name].kill()
        # Without cgroups a process may outlive its job.
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if f"SLURM_CLUSTER_NAME={CLUSTER}".encode() in environment.read_bytes().split(
                    b"\0"
                ):
                    os.kill(int(environment.parent.name), signal.SIGKILL)
        for name in ("slurm.conf", "cgroup.conf", "gres.conf"):
            (CONFIGURATION / name).unlink(missing_ok=True)


def wait_for(condition, seconds: float = START, every: float = 0.2) -> None:
    """Wait until a condition holds.

    Raises
    ------
    TimeoutError
        If it does not in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not so within {seconds} s")
        time.sleep(every)
