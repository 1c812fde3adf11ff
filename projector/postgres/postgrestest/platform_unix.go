//go:build unix && !linux

package postgrestest

import "syscall"

// dieWithParent does nothing: only Linux can. A server that outlives this process
// ends when the next run removes its files.
func dieWithParent(*syscall.SysProcAttr) {}

// memoryFolders are none: only Linux has one that is always there.
func memoryFolders() []string { return nil }
