# The default policy: what a container may ask of the kernel. The rest is refused with EPERM, and calls that
# are newer than this list with ENOSYS, so that C libraries fall back.
#
# [ACTION conditions]    then names, in any number of lines, up to the next section. Conditions:
#   if CAP_X             the container's bounding set holds the capability
#   if kernel A.B        the kernel is at least that
#   unless CAP_X         the bounding set does not hold it
#   where argN OP VALUE  the argument compares so: < <= == != >= >, or & MASK == VALUE
# Sections are alternatives; the strictest that matches wins. A name that an architecture lacks is skipped.
#
# Left out on purpose, for every container:
#   add_key keyctl request_key        the kernel's keyrings are not kept apart by namespaces
#   io_uring_*                        its operations are not seen by seccomp, and its history is poor
#   kexec_* swapon swapoff            they are the host's affair
#   pivot_root                        needs a mount namespace of one's own
#   userfaultfd                       lets a process stall the kernel in the middle of a copy
#   _sysctl ustat sysfs uselib nfsservctl vm86 vserver afs_syscall bdflush   obsolete

default errno EPERM
arch x86_64 x86
arch aarch64 arm
arch riscv64

# Files and directories.
[allow]
access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
faccessat faccessat2 fadvise64 fadvise64_64 arm_fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2
fchown fchown32 fchownat fcntl fcntl64 fdatasync file_getattr file_setattr flock fstat fstat64 fstatat64
fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown lchown32
link linkat lseek _llseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat
openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename
renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync
sync_file_range sync_file_range2 arm_sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat
utime utimensat utimensat_time64 utimes vmsplice write writev

# Extended attributes.
[allow]
fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr
lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat

# Watching files; making a fanotify group is another matter.
[allow]
fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch

# Waiting for events, pipes, asynchronous I/O of the old kind.
[allow]
_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
io_submit pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4

# Memory.
[allow]
brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
process_mrelease remap_file_pages

# Processes and threads; namespaces are filtered below.
[allow]
execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid
getpriority getrlimit getrusage getsid gettid nice pidfd_open pidfd_send_signal prctl prlimit64
restart_syscall rseq set_robust_list set_thread_area set_tid_address setpgid setpriority setrlimit setsid
sysinfo times ugetrlimit uname vfork wait4 waitid waitpid

# The processor's own.
[allow]
arch_prctl breakpoint cacheflush modify_ldt riscv_flush_icache riscv_hwprobe set_tls

# Kernel probes of the kernel's own making call these from a page they own; elsewhere they are SIGILL.
[allow]
uprobe uretprobe

# Scheduling: raising a priority asks for CAP_SYS_NICE in the kernel.
[allow]
ioprio_get ioprio_set sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
sched_setattr sched_setparam sched_setscheduler sched_yield

# Signals.
[allow]
kill pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal sigpending sigprocmask sigreturn sigsuspend
tgkill tkill

# Synchronisation, System V and POSIX IPC.
[allow]
futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd
semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget

# Time: reading and timers. adjtimex and clock_adjtime read; to set they ask for CAP_SYS_TIME in the kernel.
[allow]
adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
timerfd_gettime64 timerfd_settime timerfd_settime64

# Users, groups and capabilities.
[allow]
capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32

# Sockets. On i386 the rules hold behind socketcall too, where an address family cannot be seen: there
# socketcall(SYS_SOCKET) is refused, and programs use socket itself (glibc 2.22, musl 1.1.11 and later do).
[allow]
accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg
send sendmmsg sendmsg sendto setsockopt shutdown socketpair

# All families but AF_ALG (38), the kernel's crypto (CVE-2026-31431), and AF_VSOCK (40), the way to the hypervisor.
[allow where arg0 < 38]
socket
[allow where arg0 == 39]
socket
[allow where arg0 > 40]
socket

# Confining oneself further, random numbers, and what mount namespace one is in.
[allow]
getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self listmount lsm_get_self_attr
lsm_list_modules lsm_set_self_attr seccomp statmount

# Personalities that do not weaken the process: PER_LINUX, PER_LINUX32, UNAME26, both, and the question.
[allow where arg0 == 0]
personality
[allow where arg0 == 0x8]
personality
[allow where arg0 == 0x20000]
personality
[allow where arg0 == 0x20008]
personality
[allow where arg0 == 0xffffffff]
personality

# New processes, in no new namespace: CLONE_NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET, and for unshare, where
# the bit is not part of an exit signal, NEWTIME.
[allow unless CAP_SYS_ADMIN where arg0 & 0x7e020000 == 0]
clone
[allow unless CAP_SYS_ADMIN where arg0 & 0x7e020080 == 0]
unshare

# clone3's flags are in memory, out of sight. ENOSYS makes C libraries use clone.
[errno ENOSYS unless CAP_SYS_ADMIN]
clone3

[allow if CAP_SYS_ADMIN]
bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount
open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount
umount2 unshare

# Before Linux 4.8 a tracer could get past seccomp.
[allow if kernel 4.8]
process_vm_readv process_vm_writev ptrace

[allow if CAP_SYS_PTRACE]
kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace

[allow if CAP_BPF]
bpf
[allow if CAP_DAC_READ_SEARCH]
open_by_handle_at
[allow if CAP_PERFMON]
perf_event_open
[allow if CAP_SYS_BOOT]
reboot
[allow if CAP_SYS_CHROOT]
chroot
[allow if CAP_SYS_MODULE]
delete_module finit_module init_module
[allow if CAP_SYS_NICE]
get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node
[allow if CAP_SYS_PACCT]
acct
[allow if CAP_SYS_RAWIO]
ioperm iopl
[allow if CAP_SYS_TIME]
clock_settime clock_settime64 settimeofday stime
[allow if CAP_SYS_TTY_CONFIG]
vhangup
[allow if CAP_SYSLOG]
syslog
