/* The floor: what the kernel itself costs for one container, with nothing but system calls.
 *
 *   floor LOWER SCRATCH CGROUP PROGRAM [ARG…]
 *   floor bundle ROOTFS CGROUP FILTER PROGRAM [ARG…]
 *   floor exec PID FILTER PROGRAM [ARG…]
 *   floor filter PID FILE
 *   floor memory PROGRAM [ARG…]
 *   floor usage PROGRAM [ARG…]
 *
 * `bundle` is for the runtimes, which get a directory and no image: ROOTFS itself becomes the root, masked and read-only
 * paths are mounted as Docker has them, and FILTER is a seccomp program, ready compiled, in a file ("-" for none).
 * `exec` is one process in the container of PID: setns by pidfd, fork, seccomp, execve, wait.
 * `filter` fetches the seccomp program that PID runs under. `memory` prints the peak of PROGRAM's resident memory in KiB:
 * this program is small, and what a process had before its execve counts as its own. `usage` prints it, too, and PROGRAM's
 * time on processors in microseconds, all threads, in the kernel and outside.
 *
 * The first form: one clone3 with new pid, mount, network, ipc and uts namespaces, into the cgroup v2 directory CGROUP ("-"
 * for none); a cgroup namespace; an overlay of LOWER with a fresh upper directory in SCRATCH; the mounts of a Docker container;
 * pivot_root; execve; wait; clean up. No masks, no seccomp, no capabilities, no log, no record: every ratio in the bench is
 * taken against this or its sibling. Exits with the program's status, or with 99 and a line that names the call that failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
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

static struct sock_filter instructions[BPF_MAXINSNS];

/* A seccomp program from a file; "-" is none. */
static struct sock_fprog read_filter(const char *path)
{
	struct sock_fprog filter = {.filter = instructions};
	if (strcmp(path, "-")) {
		int file = CHECK(open(path, O_RDONLY | O_CLOEXEC));
		filter.len = CHECK(read(file, instructions, sizeof instructions)) / sizeof *instructions;
		close(file);
	}
	return filter;
}

static void confine(const struct sock_fprog *filter)
{
	if (filter->len)
		CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter));
}

/* Docker's masked and read-only paths: a device or an empty directory over the one, a read-only bind over the other. */
static void cover(int null, int empty)
{
	static const char *masked[] = {
		"proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
		"proc/timer_list", "proc/timer_stats", "proc/sched_debug", "proc/scsi", "sys/firmware",
		"sys/devices/virtual/powercap",
	};
	static const char *readonly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
	struct mount_attr locked = {.attr_set = MOUNT_ATTR_RDONLY};
	for (unsigned i = 0; i < sizeof masked / sizeof *masked; i++) {
		struct stat found;
		if (stat(masked[i], &found) < 0)
			continue;
		int with = S_ISDIR(found.st_mode) ? empty : null;
		int copy = CHECK(syscall(SYS_open_tree, with, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
		place(copy, AT_FDCWD, masked[i]);
		close(copy);
	}
	for (unsigned i = 0; i < sizeof readonly / sizeof *readonly; i++) {
		int copy = syscall(SYS_open_tree, AT_FDCWD, readonly[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		if (copy < 0)
			continue;
		CHECK(syscall(SYS_mount_setattr, copy, "", AT_EMPTY_PATH | AT_RECURSIVE, &locked, sizeof locked));
		place(copy, AT_FDCWD, readonly[i]);
		close(copy);
	}
}

/* `rootfs` and `cgroup` are detached mounts. */
static void container(int rootfs, int cgroup, int covered, const struct sock_fprog *filter, char **program)
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
	if (covered) {
		int null = CHECK(openat(dev, "null", O_PATH | O_CLOEXEC));
		cover(null, detached("tmpfs", NULL, MOUNT_ATTR_RDONLY));
	}
	CHECK(syscall(SYS_pivot_root, ".", "."));
	CHECK(umount2(".", MNT_DETACH));
	CHECK(chdir("/"));
	confine(filter);
	char *environment[] = {"PATH=/usr/bin:/bin", NULL};
	CHECK(execve(program[0], program, environment));
}

static int result(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int exec_in(pid_t pid, const char *path, char **program)
{
	int status, pidfd = CHECK(syscall(SYS_pidfd_open, pid, 0));
	struct sock_fprog filter = read_filter(path);
	CHECK(setns(pidfd, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP));
	pid_t child = CHECK(fork());
	if (child == 0) {
		confine(&filter);
		char *environment[] = {"PATH=/usr/bin:/bin", NULL};
		CHECK(execve(program[0], program, environment));
	}
	CHECK(waitpid(child, &status, 0));
	return result(status);
}

static int fetch_filter(pid_t pid, const char *path)
{
	CHECK(ptrace(PTRACE_SEIZE, pid, 0, 0));
	CHECK(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	CHECK(waitpid(pid, NULL, 0));
	long count = CHECK(ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 0, instructions));
	int file = CHECK(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	CHECK(write(file, instructions, count * sizeof *instructions));
	CHECK(ptrace(PTRACE_DETACH, pid, 0, 0));
	return 0;
}

static int memory(char **program, int time)
{
	int status;
	struct rusage usage;
	pid_t child = CHECK(fork());
	if (child == 0) {
		int null = CHECK(open("/dev/null", O_RDWR | O_CLOEXEC));
		CHECK(dup2(null, 1));
		CHECK(execv(program[0], program));
	}
	CHECK(wait4(child, &status, 0, &usage));
	printf("%ld", usage.ru_maxrss);
	if (time)
		printf(" %ld", (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec +
				       usage.ru_stime.tv_usec);
	printf("\n");
	return result(status);
}

/* From the clone to the end of the program, in a group of its own below `groups`. */
static int run(int rootfs, const char *groups, int covered, const char *filter_path, char **program)
{
	int cgroup = -1, cgroup_mount = -1, pidfd = -1;
	char group[4096];
	struct sock_fprog filter = read_filter(filter_path);
	if (strcmp(groups, "-")) {
		snprintf(group, sizeof group, "%s/floor-%d", groups, getpid());
		CHECK(mkdir(group, 0755));
		cgroup = CHECK(open(group, O_PATH | O_DIRECTORY | O_CLOEXEC));
		cgroup_mount = CHECK(
			syscall(SYS_open_tree, cgroup, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
	}
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
			 (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup >= 0 ? cgroup : 0,
	};
	long pid = CHECK(syscall(SYS_clone3, &args, sizeof args));
	if (pid == 0)
		container(rootfs, cgroup_mount, covered, &filter, program);
	close(rootfs);
	siginfo_t info;
	CHECK(waitid(P_PIDFD, pidfd, &info, WEXITED));
	if (cgroup >= 0)
		CHECK(rmdir(group));
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

static int run_on_overlay(const char *lower, const char *scratch, const char *groups, char **program)
{
	char upper[4096], work[4096], inner[4200];
	snprintf(upper, sizeof upper, "%s/%d.upper", scratch, getpid());
	snprintf(work, sizeof work, "%s/%d.work", scratch, getpid());
	CHECK(mkdir(upper, 0755));
	CHECK(mkdir(work, 0755));
	const char *overlay[] = {"lowerdir", lower, "upperdir", upper, "workdir", work, NULL};
	int status = run(detached("overlay", overlay, 0), groups, 0, "-", program);
	/* The program may have written; the bench runs one that does not. */
	snprintf(inner, sizeof inner, "%s/work", work);
	rmdir(inner);
	CHECK(rmdir(work));
	CHECK(rmdir(upper));
	return status;
}

static int run_bundle(const char *rootfs, const char *groups, const char *filter, char **program)
{
	int root = CHECK(syscall(SYS_open_tree, AT_FDCWD, rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
	return run(root, groups, 1, filter, program);
}

int main(int argc, char **argv)
{
	const char *form = argc > 1 ? argv[1] : "";
	if (argc >= 6 && !strcmp(form, "bundle"))
		return run_bundle(argv[2], argv[3], argv[4], argv + 5);
	if (argc >= 5 && !strcmp(form, "exec"))
		return exec_in(atoi(argv[2]), argv[3], argv + 4);
	if (argc == 4 && !strcmp(form, "filter"))
		return fetch_filter(atoi(argv[2]), argv[3]);
	if (argc >= 3 && (!strcmp(form, "memory") || !strcmp(form, "usage")))
		return memory(argv + 2, !strcmp(form, "usage"));
	if (argc >= 5)
		return run_on_overlay(argv[1], argv[2], argv[3], argv + 4);
	fprintf(stderr, "usage: floor LOWER SCRATCH CGROUP PROGRAM [ARG...] | floor bundle ROOTFS CGROUP FILTER PROGRAM [ARG...]\n"
			"       floor exec PID FILTER PROGRAM [ARG...] | floor filter PID FILE | floor memory|usage PROGRAM [ARG...]\n");
	return 99;
}
