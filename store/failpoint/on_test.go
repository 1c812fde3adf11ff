//go:build torture

package failpoint_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/store/failpoint"
)

// It catches a fault that comes at another point or moment, more than once, or to the services
// of another test.
func TestTortureAFaultComesOnceWhereItIsArmed(t *testing.T) {
	t.Parallel()
	faults := &failpoint.Faults{}
	inside, _ := faults.Within(t.Context())
	done := 0
	commit := func(ctx context.Context, point failpoint.Point) error {
		return failpoint.Around(ctx, point, func() error { done++; return ctx.Err() })
	}
	for i, after := range []bool{false, true} {
		hit := faults.Arm(failpoint.Fault{Point: failpoint.Commit, After: after, Kind: failpoint.Error})
		require.NoError(t, commit(t.Context(), failpoint.Commit))
		require.NoError(t, commit(inside, failpoint.Ack))
		done = 0
		require.ErrorIs(t, commit(inside, failpoint.Commit), failpoint.ErrInjected)
		require.Equal(t, i, done, "done before a fault that comes after")
		<-hit
		require.NoError(t, commit(inside, failpoint.Commit))
	}
	called := false
	faults.Arm(failpoint.Fault{Point: failpoint.Commit, Kind: failpoint.Call, Do: func() { called = true }})
	require.NoError(t, commit(inside, failpoint.Commit))
	require.True(t, called)
	faults.Arm(failpoint.Fault{Point: failpoint.Commit, Kind: failpoint.Cancel})
	require.ErrorIs(t, commit(inside, failpoint.Commit), context.Canceled, "what follows meets it")
}

func TestTortureAFaultHasTheNameThatArmsAProcess(t *testing.T) {
	t.Parallel()
	require.Equal(t, "kill before publish acknowledgement", failpoint.Fault{Point: failpoint.PublishAcknowledgement, Kind: failpoint.Kill}.String())
	require.Equal(t, "error after commit", failpoint.Fault{Point: failpoint.Commit, After: true, Kind: failpoint.Error}.String())
}
