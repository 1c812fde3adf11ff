package delius_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/projector/delius"
)

// outcomes is testdata/outcomes.txt: the fold version with which it was written, and a hash of
// what comes of each golden history.
const outcomes = "outcomes.txt"

// TestTheFoldVersionIsRaisedWithTheGoldenOutcomes holds what comes of the golden histories, by
// its hash, against what came of them when the version was last raised. A new history needs no
// new version: -update adds it; but not even -update changes the hash of an outcome under the
// same version.
//
// Broken variant: another outcome, written to the golden files with -update, and the version
// forgotten.
func TestTheFoldVersionIsRaisedWithTheGoldenOutcomes(t *testing.T) {
	t.Parallel()
	version, was := readOutcomes(t)
	is := map[string]string{}
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	require.NoError(t, err)
	var text strings.Builder
	fmt.Fprintf(&text, "version %d\n", delius.FoldVersion)
	for _, file := range files {
		_, cases := readGolden(t, file)
		for _, c := range cases {
			name := strings.TrimSuffix(filepath.Base(file), ".txt") + ": " + c.name
			sum := sha256.Sum256([]byte(golden(t, c.history)))
			is[name] = hex.EncodeToString(sum[:12])
			fmt.Fprintf(&text, "%s %s\n", is[name], name)
		}
	}
	require.LessOrEqual(t, version, delius.FoldVersion, "the version never falls")
	if version == delius.FoldVersion {
		for name, hash := range was {
			require.Equal(t, hash, is[name], "%s has another outcome: raise delius.FoldVersion, then run this test with -update", name)
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(filepath.Join("testdata", outcomes), []byte(text.String()), 0o600))
		version, was = readOutcomes(t)
	}
	require.Equal(t, delius.FoldVersion, version, "run this test with -update")
	require.Equal(t, was, is, "run this test with -update")
}

func readOutcomes(t *testing.T) (version int, hashes map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", outcomes))
	if os.IsNotExist(err) && *update {
		return 0, nil
	}
	require.NoError(t, err)
	first, rest, _ := strings.Cut(string(text), "\n")
	version, err = strconv.Atoi(strings.TrimPrefix(first, "version "))
	require.NoError(t, err)
	hashes = map[string]string{}
	for line := range strings.Lines(rest) {
		hash, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		hashes[name] = hash
	}
	return version, hashes
}
