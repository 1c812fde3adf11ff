package postgrestest

import "syscall"

// dieWithParent has the child interrupted when the thread that forked it ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// memoryFolders are folders whose files are held in memory and that have room for a
// test's databases; a container's often has not.
func memoryFolders() []string {
	const folder, enough = "/dev/shm", 2 << 30 // bytes
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil || stat.Bavail*uint64(stat.Bsize) < enough {
		return nil
	}
	return []string{folder}
}
