package postgrestest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that PostgreSQL runs as.
type account struct {
	name     string
	uid, gid uint32
	other    bool // not the user that this process runs as
}

// runAs picks the account: the caller's own, or, as PostgreSQL refuses to run as
// root, that of PostgreSQL's package, else nobody.
func runAs() (account, error) {
	if os.Geteuid() != 0 {
		return account{name: "of this process", uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return account{}, fmt.Errorf("user %s has ids that are no numbers: %w", name, err)
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid), other: true}, nil
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody: add one, or run as another user")
}

// own hands a file or folder to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// credential is what a child process needs to run as the account; nil if it does so
// anyway.
func (a account) credential() *syscall.Credential {
	if !a.other {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// reaches returns an error that names the first folder on the way to path, or path
// itself, that the account may not enter. The path is absolute.
func (a account) reaches(path string) error {
	if parent := filepath.Dir(path); parent != path {
		if err := a.reaches(parent); err != nil {
			return err
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !a.enters(info) {
		return fmt.Errorf("folder %s has mode %v: the user %s, whom PostgreSQL runs as, may not enter it", path, info.Mode(), a.name)
	}
	return nil
}

// enters says whether the mode lets the account pass through the folder.
func (a account) enters(info fs.FileInfo) bool {
	const owner, group, others = 0o100, 0o010, 0o001
	stat, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !known:
		return true
	case stat.Uid == a.uid:
		return info.Mode()&owner != 0
	case stat.Gid == a.gid:
		return info.Mode()&group != 0
	}
	return info.Mode()&others != 0
}
