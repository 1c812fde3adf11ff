package postgres

import (
	"io/fs"
)

// NeededVersion is the version that schema projection has to have at least for this
// program: the number of the last migration that it knows.
func NeededVersion() int {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err) // unreachable: the pattern is right
	}
	return len(files) // tern refuses gaps
}
