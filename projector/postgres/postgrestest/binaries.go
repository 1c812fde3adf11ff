package postgrestest

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// errNoBinaries says what to install.
var errNoBinaries = errors.New("PostgreSQL's binaries initdb and postgres are not in PATH, not in " +
	"/usr/lib/postgresql/*/bin and not where pg_config --bindir points: install PostgreSQL 15 or later " +
	"(Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; Homebrew: brew install postgresql@17)")

// installed are the folders where packages put the binaries without adding them to
// PATH; the asterisk stands for the version.
var installed = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// findBinaries returns the folder that holds initdb and postgres.
func findBinaries(ctx context.Context) (string, error) {
	folders := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range installed {
		folders = append(folders, newestFirst(pattern)...)
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	return firstWithBinaries(folders)
}

// firstWithBinaries returns the first folder that holds both programs, because an
// initdb of one version makes data that the postgres of another cannot read.
func firstWithBinaries(folders []string) (string, error) {
	for _, folder := range folders {
		if filepath.IsAbs(folder) && executable(filepath.Join(folder, "initdb")) && executable(filepath.Join(folder, "postgres")) {
			return folder, nil
		}
	}
	return "", errNoBinaries
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// newestFirst returns the folders that match a pattern with one asterisk, ordered by
// the version that the asterisk stands for: 15 before 9.6.
func newestFirst(pattern string) []string {
	before, after, _ := strings.Cut(pattern, "*")
	version := func(path string) float64 {
		number := strings.TrimSuffix(strings.TrimPrefix(path, before), after)
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0
		}
		return v
	}
	matches, err := filepath.Glob(pattern)
	if err != nil {
		panic(err) // unreachable: the patterns are constants
	}
	slices.SortFunc(matches, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return matches
}
