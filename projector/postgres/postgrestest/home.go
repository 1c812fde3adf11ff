package postgrestest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// homePrefix begins the name of every temporary home.
const homePrefix = "casdelius-postgres-"

// home is the folder of a cluster: the data, the log and the password. A temporary
// one goes when the cluster is stopped. A lock on a file in it says that its process
// is alive; the system lets go of the lock however that process ends.
type home struct {
	path      string
	temporary bool
	lock      *os.File // nil unless temporary
}

func (h *home) data() string     { return filepath.Join(h.path, "data") }
func (h *home) log() string      { return filepath.Join(h.path, "postgres.log") }
func (h *home) password() string { return filepath.Join(h.path, "password") }

// openHome returns the folder dir as a home, made if it is missing.
func openHome(dir string, a account) (*home, error) {
	path, err := filepath.Abs(dir) // PostgreSQL works in /
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	if err := a.reaches(path); err != nil {
		return nil, fmt.Errorf("%w: choose another folder or open it to that user", err)
	}
	return &home{path: path}, nil
}

// diskFolders are where temporary files belong.
func diskFolders() []string { return []string{os.TempDir(), "/tmp", "/var/tmp"} }

// temporaryHome makes a home in the first of the folders that the account may enter,
// and takes away what dead processes left there.
func temporaryHome(folders []string, a account) (*home, error) {
	var refused error
	for _, folder := range folders {
		if err := a.reaches(folder); err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		removeStale(folder)
		return makeHome(folder)
	}
	return nil, fmt.Errorf("no folder for PostgreSQL's temporary data: %w", refused)
}

func makeHome(folder string) (*home, error) {
	path, err := os.MkdirTemp(folder, homePrefix)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o711); err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	lock, err := lockNew(path)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return &home{path: path, temporary: true, lock: lock}, nil
}

// lockNew makes the lock file of a new home. It gets its name only when it is locked,
// so that nobody finds it free in between.
func lockNew(path string) (*os.File, error) {
	lock, err := os.CreateTemp(path, "new")
	if err != nil {
		return nil, err
	}
	if err := tryLock(lock); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := os.Rename(lock.Name(), lockOf(path)); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func lockOf(home string) string { return filepath.Join(home, "alive.lock") }

func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// close removes a temporary home and keeps another. Where the server's parent process
// was killed, its children may still write for a moment.
func (h *home) close() error {
	if !h.temporary {
		return nil
	}
	err := os.RemoveAll(h.path)
	for range 100 {
		if err == nil {
			break
		}
		<-time.After(50 * time.Millisecond)
		err = os.RemoveAll(h.path)
	}
	return errors.Join(err, h.lock.Close())
}

// removeStale removes homes of this user whose process is dead. A server that
// outlived its process notices that its files are gone and ends within a minute.
// Whatever cannot be removed is left to the next run.
func removeStale(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), homePrefix) || !entry.IsDir() || !ours(entry) {
			continue
		}
		removeIfStale(filepath.Join(folder, entry.Name()))
	}
}

func ours(entry fs.DirEntry) bool {
	info, err := entry.Info()
	if err != nil {
		return false
	}
	stat, known := info.Sys().(*syscall.Stat_t)
	return known && int(stat.Uid) == os.Geteuid()
}

func removeIfStale(path string) {
	lock, err := os.Open(lockOf(path))
	if err != nil {
		return
	}
	defer func() { _ = lock.Close() }() // closing lets go of it, whatever it says
	if tryLock(lock) != nil {
		return
	}
	// The lock goes last: a server that is just ending may still write into its data.
	h := home{path: path}
	if os.RemoveAll(h.data()) == nil {
		_ = os.RemoveAll(path)
	}
}

// makePassword returns the home's password, a new random one the first time. The
// account may read it too, because initdb does.
func (h *home) makePassword(a account) (string, error) {
	kept, err := os.ReadFile(h.password())
	if err == nil {
		return strings.TrimSpace(string(kept)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	password := rand.Text()
	if err := os.WriteFile(h.password(), []byte(password+"\n"), 0o600); err != nil {
		return "", err
	}
	return password, a.own(h.password())
}
