//go:build !torture

package failpoint_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/store/failpoint"
)

// It catches a fault that can be armed in a program that is shipped.
func TestAProgramThatIsShippedHasNoFailpoints(t *testing.T) {
	t.Setenv("FAILPOINT", "error before commit")
	require.False(t, failpoint.Enabled)
	failed := errors.New("failed")
	for _, want := range []error{nil, failed} {
		require.Equal(t, want, failpoint.Around(t.Context(), failpoint.Commit, func() error { return want }))
	}
	queued := []string{}
	failpoint.Between(t.Context(), failpoint.Apply, func(func() error) { queued = append(queued, "fault") }, func() { queued = append(queued, "row") })
	require.Equal(t, []string{"row"}, queued)
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = failpoint.Around(t.Context(), failpoint.Commit, func() error { return failed }) }))
}
