package torturetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"casdelius/store/torturetest"
)

func TestARoundDoesItsPartOfTheWhole(t *testing.T) {
	for minutes, want := range map[string]int{"": 60, "20": 60, "40": 60, "5": 15, "1": 3} {
		t.Setenv("TORTURE_ROUND", minutes)
		require.Equal(t, want, torturetest.Part(t, 60), minutes)
	}
	t.Setenv("TORTURE_ROUND", "5")
	require.Equal(t, 1, torturetest.Part(t, 2), "never nothing")
	require.Equal(t, 150*time.Second, torturetest.Length(t, 10*time.Minute))
	t.Setenv("TORTURE_ROUND", "soon")
	torturetest.RequireCaught(t, `TORTURE_ROUND is "soon"`, func(tb testing.TB) { torturetest.Part(tb, 1) })
}

func TestASeedMakesTheSameChoicesAgain(t *testing.T) {
	t.Setenv("SEED", "7")
	first, second := torturetest.Random(t), torturetest.Random(t)
	for range 10 {
		require.Equal(t, first.Uint64(), second.Uint64())
	}
	t.Setenv("SEED", "8")
	require.NotEqual(t, first.Uint64(), torturetest.Random(t).Uint64())
}

func TestAControlPassesOnlyIfTheBrokenVariantIsCaughtForItsReason(t *testing.T) {
	t.Parallel()
	torturetest.RequireCaught(t, "7 are lost", func(tb testing.TB) { require.Fail(tb, "7 are lost") })
	torturetest.RequireCaught(t, "7 are lost", func(tb testing.TB) { assert.True(tb, tb.Failed(), "7 are lost") })
	torturetest.RequireCaught(t, "lost", func(tb testing.TB) { tb.Fatal("lost") })
	torturetest.RequireCaught(t, "was not caught", func(tb testing.TB) {
		torturetest.RequireCaught(tb, "lost", func(testing.TB) {})
	})
	torturetest.RequireCaught(t, "but not with", func(tb testing.TB) {
		torturetest.RequireCaught(tb, "lost", func(tb testing.TB) { tb.Error("no connection") })
	})
	require.False(t, t.Failed())
}
