/* The floor: what the kernel itself costs for one container, with nothing but system calls.
 *
 *   floor LOWER SCRATCH CGROUP PROGRAM [ARG…]
 *   floor exec PID PROGRAM [ARG…]
 *
 * The second form is one process in the container of PID: setns by pidfd, fork, execve, wait.
 *
 * One clone3 with new pid, mount, network, ipc and uts namespaces, into the cgroup v2 directory CGROUP ("-" for none); a
 * cgroup namespace; an overlay of LOWER with a fresh upper directory in SCRATCH; the mounts of a Docker container; pivot_root;
 * execve; wait; clean up. No masks, no seccomp, no capabilities, no log, no record: every ratio in the bench is taken against
 * this. Exits with the program's status, or with 99 and a line that names the call that failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(call) check((long)(call), #call)

static long check(long result, const char *call)
{
	if (result < 0) {
		fprintf(stderr, "floor: %s: %s\n", call, strerror(errno));
		_exit(99);
	}
	return result;
}

static int detached(const char *type, const char *pairs[], unsigned attributes)
{
	int context = CHECK(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
	for (; pairs && pairs[0]; pairs += 2)
		CHECK(syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, pairs[0], pairs[1], 0));
	CHECK(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	int mount = CHECK(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes));
	close(context);
	return mount;
}

static void place(int mount, int root, const char *path)
{
	CHECK(syscall(SYS_move_mount, mount, "", root, path, MOVE_MOUNT_F_EMPTY_PATH));
}

/* `rootfs` and `cgroup` are detached mounts. */
static void container(int rootfs, int cgroup, char **program)
{
	static const struct { const char *name; unsigned major, minor; } nodes[] = {
		{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
	};
	static const char *links[][2] = {
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
		{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
	};
	const char *dev_options[] = {"mode", "755", "size", "65536k", NULL};
	const char *pts_options[] = {"newinstance", "", "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL};
	const char *shm_options[] = {"mode", "1777", "size", "65536k", NULL};
	unsigned strict = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

	CHECK(syscall(SYS_unshare, CLONE_NEWCGROUP));
	CHECK(setsid());
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	place(rootfs, AT_FDCWD, "/");
	place(detached("proc", NULL, strict), rootfs, "proc");
	int dev = detached("tmpfs", dev_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME);
	place(dev, rootfs, "dev");
	umask(0);
	for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++)
		CHECK(mknodat(dev, nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
	for (unsigned i = 0; i < sizeof links / sizeof *links; i++)
		CHECK(symlinkat(links[i][0], dev, links[i][1]));
	CHECK(mkdirat(dev, "pts", 0755));
	CHECK(mkdirat(dev, "shm", 0755));
	CHECK(mkdirat(dev, "mqueue", 0755));
	/* newinstance is a flag, and always on since Linux 4.7. */
	place(detached("devpts", pts_options + 2, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), dev, "pts");
	place(detached("tmpfs", shm_options, strict), dev, "shm");
	place(detached("mqueue", NULL, strict), dev, "mqueue");
	place(detached("sysfs", NULL, strict | MOUNT_ATTR_RDONLY), rootfs, "sys");
	if (cgroup >= 0)
		place(cgroup, rootfs, "sys/fs/cgroup");
	CHECK(sethostname("floor", 5));
	int lo = CHECK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	CHECK(ioctl(lo, SIOCSIFFLAGS, &request));
	CHECK(fchdir(rootfs));
	CHECK(syscall(SYS_pivot_root, ".", "."));
	CHECK(umount2(".", MNT_DETACH));
	CHECK(chdir("/"));
	char *environment[] = {"PATH=/usr/bin:/bin", NULL};
	CHECK(execve(program[0], program, environment));
}

static int exec_in(pid_t pid, char **program)
{
	int status, pidfd = CHECK(syscall(SYS_pidfd_open, pid, 0));
	CHECK(setns(pidfd, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP));
	pid_t child = CHECK(fork());
	if (child == 0) {
		char *environment[] = {"PATH=/usr/bin:/bin", NULL};
		CHECK(execve(program[0], program, environment));
	}
	CHECK(waitpid(child, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	if (argc >= 4 && !strcmp(argv[1], "exec"))
		return exec_in(atoi(argv[2]), argv + 3);
	char upper[4096], work[4096];
	if (argc < 5) {
		fprintf(stderr, "usage: floor LOWER SCRATCH CGROUP PROGRAM [ARG...] | floor exec PID PROGRAM [ARG...]\n");
		return 99;
	}
	snprintf(upper, sizeof upper, "%s/%d.upper", argv[2], getpid());
	snprintf(work, sizeof work, "%s/%d.work", argv[2], getpid());
	CHECK(mkdir(upper, 0755));
	CHECK(mkdir(work, 0755));
	int cgroup = -1, cgroup_mount = -1;
	char group[4096];
	if (strcmp(argv[3], "-")) {
		snprintf(group, sizeof group, "%s/floor-%d", argv[3], getpid());
		CHECK(mkdir(group, 0755));
		cgroup = CHECK(open(group, O_PATH | O_DIRECTORY | O_CLOEXEC));
		cgroup_mount = CHECK(
			syscall(SYS_open_tree, cgroup, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
	}
	const char *overlay[] = {"lowerdir", argv[1], "upperdir", upper, "workdir", work, NULL};
	int rootfs = detached("overlay", overlay, 0);
	int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
			 (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup >= 0 ? cgroup : 0,
	};
	long pid = CHECK(syscall(SYS_clone3, &args, sizeof args));
	if (pid == 0)
		container(rootfs, cgroup_mount, argv + 4);
	close(rootfs);
	siginfo_t info;
	CHECK(waitid(P_PIDFD, pidfd, &info, WEXITED));
	if (cgroup >= 0)
		CHECK(rmdir(group));
	/* The program may have written; the bench runs one that does not. */
	char inner[4200];
	snprintf(inner, sizeof inner, "%s/work", work);
	rmdir(inner);
	CHECK(rmdir(work));
	CHECK(rmdir(upper));
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}
