package main

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// setup mounts a disk.
func setup(t *testing.T) *mounted {
	t.Helper()
	m := &mounted{disk: newDisk(0), folder: t.TempDir()}
	must(t, m.mount())
	t.Cleanup(func() { must(t, m.server.Unmount()) })
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *mounted) path(name string) string { return filepath.Join(m.folder, name) }

// put writes a file, and syncs it or not.
func (m *mounted) put(t *testing.T, name, text string, flags int, sync bool) {
	t.Helper()
	f, err := os.OpenFile(m.path(name), os.O_CREATE|os.O_WRONLY|flags, 0o600)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	if sync {
		must(t, f.Sync())
	}
	must(t, f.Close())
}

func (m *mounted) syncFolder(t *testing.T) {
	t.Helper()
	folder, err := os.Open(m.folder)
	must(t, err)
	must(t, folder.Sync())
	must(t, folder.Close())
}

func (m *mounted) requireText(t *testing.T, name, want string) {
	t.Helper()
	have, err := os.ReadFile(m.path(name))
	must(t, err)
	if string(have) != want {
		t.Errorf("%s has %q, want %q", name, have, want)
	}
}

func (m *mounted) requireNone(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat(m.path(name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", name, err)
	}
}

func TestWhatWasSyncedIsThereAfterACutAndNothingElse(t *testing.T) {
	m := setup(t)
	m.put(t, "synced", "kept", 0, true)
	m.put(t, "synced", " lost", os.O_APPEND, false)
	m.put(t, "always", "kept too", os.O_SYNC, false)
	m.put(t, "never", "lost", 0, false)
	m.requireText(t, "synced", "kept lost")
	m.requireText(t, "never", "lost")
	must(t, m.cut(nil))
	m.requireText(t, "synced", "kept")
	m.requireText(t, "always", "kept too")
	m.requireNone(t, "never")
}

func TestNamesGoThroughTheJournalInOrder(t *testing.T) {
	m := setup(t)
	m.put(t, "old", "1", 0, true)
	must(t, os.Rename(m.path("old"), m.path("new")))
	must(t, m.cut(nil))
	m.requireText(t, "old", "1")
	m.requireNone(t, "new")

	must(t, os.Mkdir(m.path("folder"), 0o700))
	must(t, os.Rename(m.path("old"), m.path("folder/new")))
	m.put(t, "empty", "lost", 0, false)
	m.syncFolder(t)
	must(t, os.Remove(m.path("folder/new")))
	must(t, m.cut(nil))
	m.requireText(t, "folder/new", "1")
	m.requireText(t, "empty", "")
	m.requireNone(t, "old")
}

func TestAFileThatIsWrittenAnewIsOldOrEmptyUntilItIsSynced(t *testing.T) {
	m := setup(t)
	m.put(t, "file", "long ago", 0, true)
	m.put(t, "file", "new", os.O_TRUNC, false)
	must(t, m.cut(nil))
	m.requireText(t, "file", "long ago")
	m.put(t, "file", "new", os.O_TRUNC, false)
	m.syncFolder(t)
	must(t, m.cut(nil))
	m.requireText(t, "file", "")
	m.put(t, "file", "newer", os.O_TRUNC, true)
	must(t, m.cut(nil))
	m.requireText(t, "file", "newer")
}

func TestByChanceABeginningOfWhatWasNotSyncedIsThere(t *testing.T) {
	m := setup(t)
	lengths := map[int]bool{}
	for seed := range uint64(20) {
		m.put(t, "file", "", os.O_TRUNC, true)
		for range 4 {
			m.put(t, "file", "x", os.O_APPEND, false)
		}
		must(t, m.cut(rand.New(rand.NewPCG(seed, 0))))
		have, err := os.ReadFile(m.path("file"))
		must(t, err)
		lengths[len(have)] = true
	}
	if len(lengths) < 3 {
		t.Errorf("only these lengths: %v", lengths)
	}
}

func TestAFullDiskRefusesUntilThereIsRoom(t *testing.T) {
	m := setup(t)
	must(t, m.do([]string{"limit", "10000"}))
	m.put(t, "first", string(bytes.Repeat([]byte("x"), 9000)), 0, true)
	f, err := os.Create(m.path("second"))
	must(t, err)
	if _, err = f.Write(make([]byte, 2000)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk says %v", err)
	}
	must(t, os.Remove(m.path("first")))
	_, err = f.Write(make([]byte, 2000))
	must(t, err)
	must(t, f.Truncate(10000))
	if err := f.Truncate(10001); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk says %v", err)
	}
	must(t, m.do([]string{"limit", "0"}))
	must(t, f.Truncate(10001))
	must(t, f.Close())
}
