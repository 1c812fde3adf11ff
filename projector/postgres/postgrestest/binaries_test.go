package postgrestest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// addProgram puts an executable file into a folder.
func addProgram(t *testing.T, folder, name string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), nil, 0o755))
}

func TestBinariesAreTakenFromTheFirstFolderThatHasBoth(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	half, whole, later := filepath.Join(root, "half"), filepath.Join(root, "whole"), filepath.Join(root, "later")
	addProgram(t, half, "initdb")
	for _, folder := range []string{whole, later} {
		addProgram(t, folder, "initdb")
		addProgram(t, folder, "postgres")
	}
	found, err := firstWithBinaries([]string{filepath.Join(root, "missing"), half, whole, later})
	require.NoError(t, err)
	assert.Equal(t, whole, found)
}

func TestMissingBinariesSayWhatToInstall(t *testing.T) {
	t.Parallel()
	_, err := firstWithBinaries([]string{t.TempDir()})
	require.ErrorContains(t, err, "apt-get install postgresql")
}

func TestNewestVersionComesFirst(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, version := range []string{"9.6", "15", "bin", "17"} {
		addProgram(t, filepath.Join(root, version, "bin"), "postgres")
	}
	var versions []string
	for _, folder := range newestFirst(filepath.Join(root, "*", "bin")) {
		versions = append(versions, filepath.Base(filepath.Dir(folder)))
	}
	assert.Equal(t, []string{"17", "15", "9.6", "bin"}, versions)
}
