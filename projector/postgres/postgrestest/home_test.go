package postgrestest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stranger is an account that owns nothing.
var stranger = account{name: "stranger", uid: 4_000_000, gid: 4_000_000, other: true}

func TestTemporaryHomeAvoidsAFolderThatTheAccountMayNotEnter(t *testing.T) {
	t.Parallel()
	closed, open := openFolder(t), openFolder(t)
	require.NoError(t, os.Mkdir(filepath.Join(closed, "within"), 0o755))
	require.NoError(t, os.Chmod(closed, 0o700))

	h, err := temporaryHome([]string{filepath.Join(closed, "within"), open}, stranger)
	require.NoError(t, err)
	assert.Equal(t, open, filepath.Dir(h.path))
	require.NoError(t, stranger.reaches(h.path))
	require.NoError(t, h.close())
	assert.NoDirExists(t, h.path)

	_, err = temporaryHome([]string{closed}, stranger)
	require.ErrorContains(t, err, closed)
	require.ErrorContains(t, err, "stranger")
}

func TestGivenFolderThatTheAccountMayNotEnterIsNamed(t *testing.T) {
	t.Parallel()
	closed := openFolder(t)
	require.NoError(t, os.Chmod(closed, 0o700))
	_, err := openHome(filepath.Join(closed, "within"), stranger)
	require.ErrorContains(t, err, "folder "+closed+" has mode")
}

func TestOnlyHomesOfDeadProcessesAreStale(t *testing.T) {
	t.Parallel()
	folder := openFolder(t)
	living, err := makeHome(folder)
	require.NoError(t, err)
	dead, err := makeHome(folder)
	require.NoError(t, err)
	require.NoError(t, dead.lock.Close())
	beginning := filepath.Join(folder, homePrefix+"beginning")
	other := filepath.Join(folder, "other")
	require.NoError(t, os.Mkdir(beginning, 0o755))
	require.NoError(t, os.Mkdir(other, 0o755))

	removeStale(folder)
	assert.DirExists(t, living.path)
	assert.NoDirExists(t, dead.path)
	assert.DirExists(t, beginning, "a home that has no lock yet")
	assert.DirExists(t, other)
	require.NoError(t, living.close())
}

func TestPasswordIsMadeOnce(t *testing.T) {
	t.Parallel()
	me := account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	h := &home{path: t.TempDir()}
	first, err := h.makePassword(me)
	require.NoError(t, err)
	again, err := h.makePassword(me)
	require.NoError(t, err)
	assert.Equal(t, first, again)
	info, err := os.Stat(h.password())
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
