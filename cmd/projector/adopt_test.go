package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Nothing is adopted by looking. It catches a command that adopts where it is only to say what
// that would do.
func TestAdoptStreamSaysWhatItWouldDoAndDoesItWhenToldTo(t *testing.T) {
	t.Parallel()
	f := fill(t, someEvents()...)
	adopt := func(args ...string) (int, string) {
		code, stdout, _ := f.projector(append([]string{"adopt-stream"}, args...)...)
		return code, stdout
	}
	code, says := adopt()
	require.Zero(t, code)
	require.Equal(t, "the inbox was filled from this stream: there is nothing to adopt\n", says)

	_, err := f.delius.Pool.Exec(ctx, "update projection.stream set created = '2024-01-01 10:00:00Z'")
	require.NoError(t, err)
	for range 2 {
		code, says = adopt()
		require.Equal(t, 2, code)
		require.Contains(t, says, "the inbox was filled from a stream created at 1 Jan 2024 10:00:00 GMT, and has messages up to ")
		require.Contains(t, says, "nothing was changed: with --accept this stream becomes the inbox's\n")
	}
	code, says = adopt("--json")
	require.Equal(t, 2, code)
	require.Contains(t, says, `"adopted":false`)
	code, says = adopt("--accept")
	require.Zero(t, code)
	require.Contains(t, says, "this stream is the inbox's now: start ingest and the projectors\n")
	code, _ = adopt()
	require.Zero(t, code)
}
