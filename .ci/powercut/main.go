// Command powercut is a disk for tests: a FUSE file system that forgets, at a power cut, what
// was not synced, and that can be full. It mounts itself in a folder, says "ok" and takes one
// command a line, each of which it answers with "ok" or with what went wrong:
//
//	cut         lose what is not on disk; no file may be open
//	cut SEED    the same, but some of it had been written by chance
//	limit N     have room for N bytes in all; 0 for any number
//
// It ends when there are no more commands. Nothing is kept.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: powercut FOLDER")
	}
	m := &mounted{disk: newDisk(0), folder: os.Args[1]}
	if err := m.mount(); err != nil {
		return err
	}
	fmt.Println("ok")
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		if err := m.do(strings.Fields(commands.Text())); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
	return m.unmount()
}

// unmount takes the disk out of its folder though somebody who is being killed may have files
// open still.
func (m *mounted) unmount() error {
	if m.server.Unmount() == nil || syscall.Unmount(m.folder, syscall.MNT_DETACH) == nil {
		return nil
	}
	return exec.Command("fusermount3", "-uz", m.folder).Run() //nolint:gosec // our own folder
}

// mounted is a disk in its folder.
type mounted struct {
	disk   *disk
	folder string
	server *fuse.Server
}

func (m *mounted) mount() (err error) {
	m.server, err = m.disk.mount(m.folder, os.Geteuid() == 0)
	if err != nil {
		return fmt.Errorf("mount a FUSE file system: %w: it needs /dev/fuse, and to be root or to have fusermount3 (Debian, Ubuntu: apt-get install fuse3)", err)
	}
	return nil
}

func (m *mounted) do(command []string) error {
	var number uint64
	if len(command) == 2 {
		var err error
		if number, err = strconv.ParseUint(command[1], 10, 62); err != nil {
			return err
		}
	}
	switch {
	case len(command) == 1 && command[0] == "cut":
		return m.cut(nil)
	case len(command) == 2 && command[0] == "cut":
		return m.cut(rand.New(rand.NewPCG(number, 0)))
	case len(command) == 2 && command[0] == "limit":
		m.disk.mu.Lock()
		defer m.disk.mu.Unlock()
		m.disk.limit = int64(number)
		return nil
	}
	return fmt.Errorf("no such command: %q", command)
}

// cut mounts the disk anew, so that nothing is left in the kernel either.
func (m *mounted) cut(chance *rand.Rand) error {
	if err := m.server.Unmount(); err != nil {
		return fmt.Errorf("unmount: %w: is a file still open?", err)
	}
	m.disk.mu.Lock()
	m.disk.cut(chance)
	m.disk.mu.Unlock()
	return m.mount()
}
