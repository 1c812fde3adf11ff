package torturetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Disk is a folder on a disk of its own, which forgets at a power cut what was not synced, and
// which can be full. It is .ci/powercut, which says what exactly a cut leaves.
type Disk struct {
	Folder   string
	commands io.Writer
	answers  *bufio.Reader
}

// NewDisk makes a disk that ends with the test, empty and with room for everything. It needs
// /dev/fuse, and to be root or to have fusermount3.
func NewDisk(tb testing.TB) *Disk {
	tb.Helper()
	program, err := buildDisk()
	if err != nil {
		tb.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "disk-") // which servers that run as another user can enter
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.Remove(folder) })
	command := exec.Command(program, folder)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close() // it ends by that
		if err := command.Wait(); err != nil {
			tb.Errorf("the disk in %s: %v", folder, err)
		}
	})
	d := &Disk{folder, in, bufio.NewReader(out)}
	if err := d.answer(); err != nil {
		tb.Fatal(err)
	}
	return d
}

// Cut is a power cut, after which the disk holds what was synced. Whoever used it is dead.
func (d *Disk) Cut(tb testing.TB) {
	tb.Helper()
	d.do(tb, "cut")
}

// CutByChance is a power cut by which a part of what was not synced was written all the same.
func (d *Disk) CutByChance(tb testing.TB, seed uint64) {
	tb.Helper()
	d.do(tb, fmt.Sprintf("cut %d", seed>>2)) // of 62 bits
}

// Limit gives the disk room for so many bytes, 0 for any number.
func (d *Disk) Limit(tb testing.TB, bytes int64) {
	tb.Helper()
	d.do(tb, fmt.Sprintf("limit %d", bytes))
}

func (d *Disk) do(tb testing.TB, command string) {
	tb.Helper()
	_, err := fmt.Fprintln(d.commands, command)
	if err == nil {
		err = d.answer()
	}
	if err != nil {
		tb.Fatalf("the disk in %s: %s: %v", d.Folder, command, err)
	}
}

func (d *Disk) answer() error {
	line, err := d.answers.ReadString('\n')
	switch {
	case err != nil:
		return err
	case line != "ok\n":
		return errors.New(line)
	}
	return nil
}

// buildDisk makes the program, which is a module of its own for the sake of what it needs.
var buildDisk = sync.OnceValues(func() (string, error) {
	source, err := filepath.Abs(".")
	for err == nil {
		if _, missing := os.Stat(filepath.Join(source, ".ci", "powercut")); missing == nil {
			break
		}
		if filepath.Dir(source) == source {
			return "", errors.New("there is no .ci/powercut in any folder above this one")
		}
		source = filepath.Dir(source)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "casdelius", "powercut")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(source, ".ci", "powercut")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build .ci/powercut: %w:\n%s", err, said)
	}
	return program, nil
})
